# Flags every target of ours is compiled with. They are private: a consumer keeps its own.
# -ffp-contract=off: a*b+c stays two roundings, whatever the compiler and the CPU.
include(GNUInstallDirs)

function(lostbits_target_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_options(${target} PRIVATE -ffp-contract=off -Wall -Wextra -Wshadow -Wconversion
                         -Wno-sign-conversion)
  if(LOSTBITS_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
endfunction()

# A library lostbits::<name>, with its headers where `#include "<name>/..."` finds them, before and
# after installation.
function(lostbits_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  set(target lostbits_${name})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(lostbits::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/lostbits>)
  target_link_libraries(${target} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  lostbits_target_options(${target})
endfunction()
