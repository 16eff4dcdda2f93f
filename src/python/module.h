// What each part of the module adds to it. Every function takes arrays as (words, format name) and
// gives reports as the JSON that the program prints; src/python/lostbits/ is what a user sees.
#ifndef LOSTBITS_SRC_PYTHON_MODULE_H_
#define LOSTBITS_SRC_PYTHON_MODULE_H_

#include <nanobind/nanobind.h>

namespace lostbits::python {

void AddAttention(nanobind::module_& m);
void AddCodec(nanobind::module_& m);
void AddProducts(nanobind::module_& m);
void AddQuantize(nanobind::module_& m);
void AddStudies(nanobind::module_& m);

}  // namespace lostbits::python

#endif  // LOSTBITS_SRC_PYTHON_MODULE_H_
