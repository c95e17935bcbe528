# Fuzz targets, where clang is found: built by it whatever compiles the rest, since libFuzzer is its own.
find_program(FLAGOS_FUZZ_COMPILER clang++)
mark_as_advanced(FLAGOS_FUZZ_COMPILER)

# flagos_add_fuzzer(<name> SOURCES <file>... [LIBRARIES <name>...])
# Makes bin/<name> of the sources, of which one has LLVMFuzzerTestOneInput, under ASan and UBSan. Nothing where there is no
# clang, or where the whole build is under another sanitizer.
function(flagos_add_fuzzer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  if(NOT FLAGOS_BUILD_TESTS OR FLAGOS_SANITIZE OR NOT FLAGOS_FUZZ_COMPILER)
    return()
  endif()
  set(sanitize -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all)
  set(objects)
  foreach(source ${arg_SOURCES})
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.dir/${source}.o)
    get_filename_component(folder ${object} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${object}
      COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} ${FLAGOS_FUZZ_COMPILER} -std=c++20 -O1 -g1 ${sanitize} -ffp-contract=off
        -I${PROJECT_SOURCE_DIR} -I${PROJECT_SOURCE_DIR}/abi -MD -MF ${object}.d
        -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source}
      DEPFILE ${object}.d
      COMMENT "Building ${source} for ${name}" VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(program ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/${name})
  list(TRANSFORM arg_LIBRARIES PREPEND -l)
  add_custom_command(OUTPUT ${program}
    COMMAND ${FLAGOS_FUZZ_COMPILER} ${sanitize} ${objects} -o ${program} ${arg_LIBRARIES}
    DEPENDS ${objects} COMMENT "Linking ${name}" VERBATIM)
  add_custom_target(${name} ALL DEPENDS ${program})
endfunction()
