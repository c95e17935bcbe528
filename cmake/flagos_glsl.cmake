# SPIR-V from GLSL at build time, with Debian's glslang-tools and spirv-tools.
find_program(FLAGOS_GLSLANG glslangValidator)
find_program(FLAGOS_SPIRV_LINK spirv-link)

# flagos_can_build_spirv(<variable>): whether both tools are here.
function(flagos_can_build_spirv variable)
  set(${variable} OFF PARENT_SCOPE)
  if(FLAGOS_GLSLANG AND FLAGOS_SPIRV_LINK)
    set(${variable} ON PARENT_SCOPE)
  endif()
endfunction()

# flagos_add_spirv(<output.spirv> <file.glsl>... [DEFINES <name>...]): one module with an entry point for each kernel that the
# files name in `#pragma flagos kernel(a, b)`. The files are one text, in this order; each kernel is
# compiled by itself, with FLAGOS_KERNEL_<name> defined. Without such a line there is the one kernel main.
# <output.spirv> is a path or a name in the current binary folder: let a target depend on it.
function(flagos_add_spirv output)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEFINES")
  list(TRANSFORM arg_DEFINES PREPEND -D)
  cmake_path(ABSOLUTE_PATH output BASE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  set(sources "")
  set(names "")
  foreach(source IN LISTS arg_UNPARSED_ARGUMENTS)
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    list(APPEND sources ${source})
    file(STRINGS ${source} lines REGEX "^#pragma flagos kernel")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^.*\\((.*)\\).*$" "\\1" list "${line}")
      string(REPLACE "," " " list "${list}")
      separate_arguments(list)
      list(APPEND names ${list})
    endforeach()
  endforeach()
  if(NOT names)
    set(names main)
  endif()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${sources})

  # One folder for each output: kernels of two packs may have the same name.
  cmake_path(RELATIVE_PATH output BASE_DIRECTORY ${CMAKE_BINARY_DIR} OUTPUT_VARIABLE pack)
  string(REPLACE "/" "_" pack "${pack}")
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/glsl/${pack})
  file(MAKE_DIRECTORY ${folder})
  set(text ${folder}/all.glsl)
  add_custom_command(OUTPUT ${text}
    COMMAND ${CMAKE_COMMAND} -E cat ${sources} > ${text}
    DEPENDS ${sources} VERBATIM)
  set(modules "")
  foreach(name IN LISTS names)
    set(module ${folder}/${name}.spv)
    add_custom_command(OUTPUT ${module}
      COMMAND ${FLAGOS_GLSLANG} --quiet --target-env vulkan1.2 -S comp -DFLAGOS_KERNEL_${name}=1
        ${arg_DEFINES} -e ${name} --source-entrypoint main -o ${module} ${text}
      DEPENDS ${text} VERBATIM)
    list(APPEND modules ${module})
  endforeach()
  add_custom_command(OUTPUT ${output}
    COMMAND ${FLAGOS_SPIRV_LINK} --target-env vulkan1.2 ${modules} -o ${output}
    DEPENDS ${modules} VERBATIM)
endfunction()
