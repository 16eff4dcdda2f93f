# Debian's libhwy-dev ships pkg-config files but no CMake package: this makes the target hwy::hwy.
find_path(hwy_INCLUDE_DIR hwy/highway.h)
find_library(hwy_LIBRARY hwy)
mark_as_advanced(hwy_INCLUDE_DIR hwy_LIBRARY)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(hwy REQUIRED_VARS hwy_LIBRARY hwy_INCLUDE_DIR)
if(hwy_FOUND AND NOT TARGET hwy::hwy)
  add_library(hwy::hwy UNKNOWN IMPORTED)
  set_target_properties(hwy::hwy PROPERTIES
    IMPORTED_LOCATION "${hwy_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${hwy_INCLUDE_DIR}")
endif()
