# Kernels of operators for processors, compiled when flagos is built: a machine without a compiler runs them at full speed.
# FLAGOS_OPS_KERNEL_ISAS: instruction sets, or host for that of this machine; empty for none.
set(FLAGOS_OPS_KERNEL_ISAS host CACHE STRING "Instruction sets that operators are compiled for: host, x86-64-v2, ...; empty: none")
if(NOT FLAGOS_OPS_KERNEL_ISAS OR FLAGOS_SANITIZE)
  return()
endif()
set(texts ${CMAKE_CURRENT_BINARY_DIR}/kernels)
set(pack ${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/flagos/kernels)
set(commands COMMAND flagos_ops_generate kernels ${texts} COMMAND ${CMAKE_COMMAND} -E rm -rf ${pack})
foreach(isa IN LISTS FLAGOS_OPS_KERNEL_ISAS)
  set(isa_argument "")
  if(NOT isa STREQUAL "host")
    set(isa_argument --isa ${isa})
  endif()
  list(APPEND commands COMMAND ${CMAKE_COMMAND} -E env FLAGOS_PLUGIN_FILES=$<TARGET_FILE:flagos_plugin_cpu>
    $<TARGET_FILE:flagos_cli> kernel compile --target cpu ${isa_argument} --pack ${pack} @${texts}/list)
endforeach()
add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/kernels.stamp
  ${commands}
  COMMAND ${CMAKE_COMMAND} -E touch ${CMAKE_CURRENT_BINARY_DIR}/kernels.stamp
  DEPENDS flagos_ops_generate flagos_cli flagos_plugin_cpu flagos_compiler
  COMMENT "Compiling the kernels of operators ahead of time" VERBATIM)
add_custom_target(flagos_ops_kernels ALL DEPENDS ${CMAKE_CURRENT_BINARY_DIR}/kernels.stamp)
install(DIRECTORY ${pack} DESTINATION ${CMAKE_INSTALL_LIBDIR}/flagos)
