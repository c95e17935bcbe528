# What `cmake --install` puts where, and how a user's build finds it (find_package, pkg-config).
# Plugins install themselves: see flagos_add_plugin.
include(CMakePackageConfigHelpers)
set(flagos_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/flagos)

foreach(header flagos.h flagos_plugin.h flagos_cpu_kernel.h flagos_compiler.h flagos_ops.h flagos_comm.h)
  if(EXISTS ${PROJECT_SOURCE_DIR}/abi/${header})
    install(FILES ${PROJECT_SOURCE_DIR}/abi/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/flagos)
  endif()
endforeach()

if(TARGET flagos_abi)
  install(TARGETS flagos_abi EXPORT flagosTargets)
endif()
foreach(library flagos flagos_compiler flagos_ops flagos_comm)
  if(TARGET ${library})
    install(TARGETS ${library} EXPORT flagosTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
endforeach()
if(TARGET flagos_tile)
  # The builder of portable kernels is included as <flagos/tile.hpp>.
  install(TARGETS flagos_tile EXPORT flagosTargets)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/compiler/include/flagos DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endif()
foreach(program flagos_cli flagos_conformance)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()

if(TARGET flagos)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/flagosConfig.cmake.in
    ${PROJECT_BINARY_DIR}/package/flagosConfig.cmake
    INSTALL_DESTINATION ${flagos_package_dir})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/flagosConfigVersion.cmake
    COMPATIBILITY SameMajorVersion)
  install(EXPORT flagosTargets NAMESPACE flagos:: DESTINATION ${flagos_package_dir})
  # A vendor's plugin is built with the same function, script and template as ours.
  install(FILES
    ${PROJECT_BINARY_DIR}/package/flagosConfig.cmake
    ${PROJECT_BINARY_DIR}/package/flagosConfigVersion.cmake
    ${PROJECT_SOURCE_DIR}/cmake/flagos_add_plugin.cmake
    ${PROJECT_SOURCE_DIR}/cmake/plugin.map
    ${PROJECT_SOURCE_DIR}/cmake/plugin_manifest.json.in
    DESTINATION ${flagos_package_dir})

  # The prefix is relative to the file itself, so that an installed tree can be moved.
  file(RELATIVE_PATH flagos_pc_to_prefix
    ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/flagos.pc.in
    ${PROJECT_BINARY_DIR}/package/flagos.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/package/flagos.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
