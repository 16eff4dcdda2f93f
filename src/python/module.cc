// The module lostbits._lostbits: errors, names, tables.
#include "python/module.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <exception>
#include <regex>
#include <stdexcept>
#include <string>

#include "cli/attention_preset.h"
#include "cli/formats.h"
#include "cli/machines.h"
#include "cli/output.h"
#include "registry.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace lostbits::python {
namespace {

/// Messages name options as the program has them; in Python these are keyword arguments.
std::string AsKeywords(std::string text) {
  text = std::regex_replace(text, std::regex("--allow-unverified"), "allow_unverified=True");
  const std::regex option("--([a-z][a-z0-9]*(-[a-z0-9]+)*)");
  std::smatch found;
  while (std::regex_search(text, found, option)) {
    std::string keyword = found[1];
    std::replace(keyword.begin(), keyword.end(), '-', '_');
    text = found.prefix().str() + keyword + found.suffix().str();
  }
  return text;
}

void Translate(const std::exception_ptr& error, void* no_evidence) {
  try {
    std::rethrow_exception(error);
  } catch (const cli::Failure& failure) {
    PyErr_SetString(static_cast<PyObject*>(no_evidence), AsKeywords(failure.what()).c_str());
  } catch (const std::invalid_argument& bad) {
    PyErr_SetString(PyExc_ValueError, AsKeywords(bad.what()).c_str());
  }
}

std::vector<std::string> FormatNameList() {
  std::vector<std::string> names;
  for (const FormatNames& row : AllFormatNames()) names.emplace_back(row.name);
  return names;
}

}  // namespace
}  // namespace lostbits::python

NB_MODULE(_lostbits, m) {
  using namespace lostbits;
  m.doc() = "The C++ of lostbits. Use the functions of `lostbits`, which take arrays as they are.";
  m.attr("version") = LOSTBITS_VERSION;
  PyObject* no_evidence =
      PyErr_NewException("lostbits._lostbits.NoEvidenceError", PyExc_ValueError, nullptr);
  m.attr("NoEvidenceError") = nb::borrow(no_evidence);
  nb::register_exception_translator(python::Translate, no_evidence);

  m.def(
      "format_name", [](const std::string& name) { return std::string(FindFormat(name).name); },
      "name"_a, "The name under which a format is printed, from any spelling of it.");
  m.def("formats", &python::FormatNameList, "Every format.");
  m.def("attention_presets", &cli::AttentionPresetNames, "Every attention kernel.");
  m.def(
      "machine_name", [](const std::string& name) { return FindMachine(name).name; }, "name"_a,
      "The full name of the one machine that a name fits.");
  m.def(
      "finfo", [](const std::string& name) { return cli::FormatJson(FindFormat(name)).dump(); },
      "name"_a, "A format, as JSON.");
  m.def(
      "machines", [](const std::string& name) { return cli::MachinesJson(name).dump(); }, "name"_a,
      "The machines that a name fits, or all, as JSON.");
  python::AddAttention(m);
  python::AddCodec(m);
  python::AddProducts(m);
  python::AddQuantize(m);
  python::AddStudies(m);
}
