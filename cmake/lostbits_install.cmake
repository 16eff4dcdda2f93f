# `cmake --install` and find_package(lostbits CONFIG).
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/lostbits")
foreach(folder fp8 sim)
  install(DIRECTORY ${folder} DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/lostbits"
          FILES_MATCHING PATTERN "*.h"
          PATTERN "*-inl.h" EXCLUDE  # lanes and their helpers: compiled into the libraries
          REGEX "lane_tables|_lanes|gemm_(check|pack)|attention_(block|check)" EXCLUDE)
endforeach()
install(TARGETS lostbits_fp8 lostbits_sim EXPORT lostbits
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
if(TARGET lostbits_cli)
  install(TARGETS lostbits_cli lostbits_gpu_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
install(EXPORT lostbits NAMESPACE lostbits:: DESTINATION "${package_dir}"
        FILE lostbitsTargets.cmake)
configure_package_config_file(cmake/lostbitsConfig.cmake.in
  "${PROJECT_BINARY_DIR}/lostbitsConfig.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/lostbitsConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/lostbitsConfig.cmake"
              "${PROJECT_BINARY_DIR}/lostbitsConfigVersion.cmake"
              cmake/Findhwy.cmake DESTINATION "${package_dir}")
