# LOSTBITS_HAVE_CUDA, and what CUDA code is compiled for.
#   LOSTBITS_CUDA               AUTO: where nvcc is found; ON: an error where it is not; OFF
#   LOSTBITS_CUDA_ARCHITECTURES defaults to those of 80 89 90a 100a 120a that the toolkit has
include(CheckLanguage)
include(lostbits_cuda_choice)
lostbits_cuda_choice("${LOSTBITS_CUDA}" lostbits_cuda)
set(LOSTBITS_HAVE_CUDA OFF)
if(NOT lostbits_cuda STREQUAL "OFF")
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES OFF)  # each target names its own
  endif()
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(LOSTBITS_HAVE_CUDA ON)
  elseif(lostbits_cuda STREQUAL "ON")
    message(FATAL_ERROR "LOSTBITS_CUDA=ON, but nvcc was not found")
  else()
    # NOTICE: seen where standard output is thrown away.
    message(NOTICE "CUDA parts: none, for nvcc was not found (LOSTBITS_CUDA=AUTO; set CUDACXX). "
      "No .cu file is compiled, and lostbits-gpu will answer \"no device\".")
  endif()
endif()

if(LOSTBITS_HAVE_CUDA AND NOT LOSTBITS_CUDA_ARCHITECTURES)
  execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-arch
    OUTPUT_VARIABLE known OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(archs "")
  foreach(arch 80 89 90a 100a 120a)
    string(REGEX REPLACE "a$" "" number ${arch})
    if(known MATCHES "compute_${number}(\n|$)")
      list(APPEND archs "${arch}-real")
    endif()
  endforeach()
  set(LOSTBITS_CUDA_ARCHITECTURES "${archs}" CACHE STRING "Architectures of the CUDA parts")
endif()
if(LOSTBITS_HAVE_CUDA)
  message(STATUS "CUDA parts: for ${LOSTBITS_CUDA_ARCHITECTURES}")
else()
  message(STATUS "CUDA parts: none (LOSTBITS_CUDA=${LOSTBITS_CUDA})")
endif()

# Flags of device code. -fmad=false: a*b+c stays two roundings, as on the host.
function(lostbits_cuda_options target)
  set_target_properties(${target} PROPERTIES
    CUDA_ARCHITECTURES "${LOSTBITS_CUDA_ARCHITECTURES}" POSITION_INDEPENDENT_CODE ON)
  # Not CUDA_STANDARD: Debian 12's CMake (3.25.1) knows no C++20 of nvcc's.
  target_compile_options(${target} PRIVATE -std=c++20 -fmad=false)
  if(LOSTBITS_WERROR)
    target_compile_options(${target} PRIVATE -Werror=all-warnings)
  endif()
endfunction()
