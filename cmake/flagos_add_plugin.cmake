# flagos_add_plugin: one plugin library with its manifest. Used inside this tree and, through
# find_package(flagos), by vendors outside it.
set(FLAGOS_PLUGIN_CMAKE_DIR ${CMAKE_CURRENT_LIST_DIR})

# flagos_add_plugin(<name>
#   SOURCES <file>...            C or C++
#   [LIBRARIES <target>...]      beyond flagos::abi, which is always there
#   VENDOR <text>                who ships it
#   [VERSION <text>]             of the plugin; default: that of the project
#   [ABI_MIN 1.0] [ABI_MAX 1.0]  the range it implements
#   FAMILIES <name>...           device families it drives, such as cpu
#   [FORMATS <name>...]          kernel formats it takes, such as elf-so
#   [LEVELS <name>...]           conformance levels it claims, such as core
#   [NO_INSTALL]                 a test or sample plugin: not installed, and built into
#                                lib/flagos/extra_plugins, where nobody searches by default
#   [OUTPUT_DIRECTORY <dir>])    build it elsewhere
#
# Makes the target flagos_plugin_<name> (libflagos_plugin_<name>.so, beside it the manifest
# libflagos_plugin_<name>.json) and the object library flagos_plugin_<name>_objects, which unit
# tests of the plugin's own classes link.
function(flagos_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "NO_INSTALL" "VENDOR;VERSION;ABI_MIN;ABI_MAX;OUTPUT_DIRECTORY"
    "SOURCES;LIBRARIES;FAMILIES;FORMATS;LEVELS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "flagos_add_plugin(${name}): unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  foreach(required SOURCES VENDOR FAMILIES)
    if(NOT arg_${required})
      message(FATAL_ERROR "flagos_add_plugin(${name}): ${required} is missing")
    endif()
  endforeach()

  set(target flagos_plugin_${name})
  set(directory ${CMAKE_BINARY_DIR}/lib/flagos/plugins)
  if(arg_NO_INSTALL)
    set(directory ${CMAKE_BINARY_DIR}/lib/flagos/extra_plugins)
  endif()
  if(arg_OUTPUT_DIRECTORY)
    set(directory ${arg_OUTPUT_DIRECTORY})
  endif()

  add_library(${target}_objects OBJECT ${arg_SOURCES})
  target_link_libraries(${target}_objects PUBLIC flagos::abi ${arg_LIBRARIES})
  # Makes flagos_plugin.h declare flagos_plugin_open as exported.
  target_compile_definitions(${target}_objects PRIVATE FLAGOS_PLUGIN_BUILD)
  set_target_properties(${target}_objects PROPERTIES
    POSITION_INDEPENDENT_CODE ON
    C_VISIBILITY_PRESET hidden
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)

  add_library(${target} MODULE)
  target_link_libraries(${target} PRIVATE ${target}_objects)
  set(map ${FLAGOS_PLUGIN_CMAKE_DIR}/plugin.map)
  target_link_options(${target} PRIVATE
    "LINKER:--version-script=${map}" "LINKER:-z,relro" "LINKER:-z,now" "LINKER:-z,noexecstack")
  if(NOT FLAGOS_SANITIZE)
    # An instrumented library takes the sanitizer's symbols from the program that opens it.
    target_link_options(${target} PRIVATE "LINKER:--no-undefined")
  endif()
  set_target_properties(${target} PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY ${directory}
    LINK_DEPENDS ${map}
    LINKER_LANGUAGE CXX
    BUILD_RPATH ""
    INSTALL_RPATH "")

  flagos_write_plugin_manifest(${name} ${directory})
  if(NOT arg_NO_INSTALL)
    include(GNUInstallDirs)
    set(destination ${CMAKE_INSTALL_LIBDIR}/flagos/plugins)
    install(TARGETS ${target} LIBRARY DESTINATION ${destination})
    install(FILES ${directory}/lib${target}.json DESTINATION ${destination})
  endif()
endfunction()

# Writes the manifest from the arguments that flagos_add_plugin parsed.
function(flagos_write_plugin_manifest name directory)
  set(file libflagos_plugin_${name}.so)
  set(vendor "${arg_VENDOR}")
  set(version "${PROJECT_VERSION}")
  if(arg_VERSION)
    set(version "${arg_VERSION}")
  endif()
  foreach(bound min max)
    string(TOUPPER ${bound} upper)
    set(abi_${bound} "1.0")
    if(arg_ABI_${upper})
      set(abi_${bound} "${arg_ABI_${upper}}")
    endif()
  endforeach()
  foreach(list families formats levels)
    string(TOUPPER ${list} upper)
    set(${list} "[]")
    if(arg_${upper})
      list(JOIN arg_${upper} "\", \"" joined)
      set(${list} "[\"${joined}\"]")
    endif()
  endforeach()
  file(MAKE_DIRECTORY ${directory})
  configure_file(${FLAGOS_PLUGIN_CMAKE_DIR}/plugin_manifest.json.in
    ${directory}/libflagos_plugin_${name}.json @ONLY)
endfunction()
