# Fuzz targets, where clang is found: built by it whatever compiles the rest, since libFuzzer is its own.
find_program(FLAGOS_CLANG_FOR_FUZZING NAMES clang++-18 clang++-17 clang++-16)
mark_as_advanced(FLAGOS_CLANG_FOR_FUZZING)

# No targets where there is no clang, or where the whole build is instrumented otherwise.
set(FLAGOS_CAN_FUZZ OFF)
if(FLAGOS_BUILD_TESTS AND FLAGOS_CLANG_FOR_FUZZING AND NOT FLAGOS_SANITIZE AND NOT FLAGOS_COVERAGE)
  set(FLAGOS_CAN_FUZZ ON)
endif()
set(flagos_fuzz_flags address,undefined)

# flagos_fuzz_objects(<variable> <name> SOURCES <file>... [OPTIONS <option>...] [DEPENDS <target>...])
# Compiles the sources for fuzz targets of this folder, under ASan and UBSan, and puts the objects' names into <variable>.
function(flagos_fuzz_objects variable name)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "SOURCES;OPTIONS;DEPENDS")
  set(objects)
  foreach(source ${arg_SOURCES})
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} NORMALIZE)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE relative)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.dir/${relative}.o)
    get_filename_component(folder ${object} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${object}
      COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} ${FLAGOS_CLANG_FOR_FUZZING} -std=c++20 -O1 -g1 -ffp-contract=off
        -fsanitize=fuzzer-no-link,${flagos_fuzz_flags} -fno-sanitize-recover=all
        -I${PROJECT_SOURCE_DIR} -I${PROJECT_SOURCE_DIR}/abi ${arg_OPTIONS} -MD -MF ${object}.d
        -c ${source} -o ${object}
      DEPENDS ${source} ${arg_DEPENDS}
      DEPFILE ${object}.d
      COMMENT "Building ${relative} for fuzzing" VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(${variable} ${objects} PARENT_SCOPE)
endfunction()

# flagos_add_fuzzer(<name> OBJECTS <file>... [LIBRARIES <name>...] [RUNS <number>] [SEEDS <folder>] [MAX_BYTES <number>]
#   [DEPENDS <target>...] [ENVIRONMENT <name=value>...])
# Makes bin/flagos_<name>_fuzz of objects, of which one has LLVMFuzzerTestOneInput, and the test <name>_fuzz of RUNS inputs with
# a fixed seed. It begins with the files of SEEDS, or with those that the program itself writes.
function(flagos_add_fuzzer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "RUNS;SEEDS;MAX_BYTES" "OBJECTS;LIBRARIES;DEPENDS;ENVIRONMENT")
  if(NOT arg_RUNS)
    set(arg_RUNS 5000)
  endif()
  if(NOT arg_MAX_BYTES)
    set(arg_MAX_BYTES 4096)
  endif()
  set(target flagos_${name}_fuzz)
  set(program ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/${target})
  list(TRANSFORM arg_LIBRARIES PREPEND -l)
  add_custom_command(OUTPUT ${program}
    COMMAND ${FLAGOS_CLANG_FOR_FUZZING} -fsanitize=fuzzer,${flagos_fuzz_flags} ${arg_OBJECTS} -o ${program}
      ${arg_LIBRARIES} -ldl -lpthread
    DEPENDS ${arg_OBJECTS} ${arg_DEPENDS} COMMENT "Linking ${target}" VERBATIM)
  add_custom_target(${target} ALL DEPENDS ${program})
  set(options --build ${CMAKE_BINARY_DIR} --runs ${arg_RUNS} --max-bytes ${arg_MAX_BYTES})
  if(arg_SEEDS)
    list(APPEND options --seeds ${arg_SEEDS})
  endif()
  flagos_add_test(${name}_fuzz COMMAND ${PROJECT_SOURCE_DIR}/scripts/fuzz ${options} ${name}
    LABELS fuzz TIMEOUT 300 ENVIRONMENT ${arg_ENVIRONMENT})
endfunction()
