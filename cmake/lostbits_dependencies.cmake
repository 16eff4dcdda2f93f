# Every dependency is looked for first, and fetched at a pinned version only where it is absent.
# Debian 12's packages do: see scripts/setup.
include(FetchContent)

find_package(OpenMP REQUIRED COMPONENTS CXX)

find_package(hwy QUIET)
if(NOT hwy_FOUND)
  set(HWY_ENABLE_TESTS OFF)
  set(HWY_ENABLE_EXAMPLES OFF)
  FetchContent_Declare(hwy URL https://github.com/google/highway/archive/refs/tags/1.0.3.tar.gz)
  FetchContent_MakeAvailable(hwy)
  add_library(hwy::hwy ALIAS hwy)
endif()

find_package(Boost 1.74 QUIET)  # headers only: multiprecision
if(NOT Boost_FOUND)
  FetchContent_Declare(Boost
    URL https://github.com/boostorg/boost/releases/download/boost-1.84.0/boost-1.84.0.tar.xz)
  set(BOOST_INCLUDE_LIBRARIES multiprecision)
  FetchContent_MakeAvailable(Boost)
  add_library(Boost::headers ALIAS boost_multiprecision)
endif()

if(LOSTBITS_BUILD_CLI OR LOSTBITS_BUILD_TESTS OR LOSTBITS_BUILD_PYTHON)
  FetchContent_Declare(fmt URL https://github.com/fmtlib/fmt/archive/refs/tags/9.1.0.tar.gz
    FIND_PACKAGE_ARGS 9)
  FetchContent_Declare(nlohmann_json URL https://github.com/nlohmann/json/releases/download/v3.11.2/json.tar.xz
    FIND_PACKAGE_ARGS 3.11)
  FetchContent_Declare(CLI11 URL https://github.com/CLIUtils/CLI11/archive/refs/tags/v2.1.2.tar.gz
    FIND_PACKAGE_ARGS 2.1)
  FetchContent_MakeAvailable(fmt nlohmann_json CLI11)
endif()
if(LOSTBITS_BUILD_TESTS)
  FetchContent_Declare(GTest URL https://github.com/google/googletest/archive/refs/tags/release-1.12.1.tar.gz
    FIND_PACKAGE_ARGS 1.12)
  FetchContent_MakeAvailable(GTest)
endif()
