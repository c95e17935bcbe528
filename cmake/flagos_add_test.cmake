# flagos_add_test: a doctest binary, or a command, that ctest runs.

if(FLAGOS_BUILD_TESTS)
  add_library(flagos_doctest_main OBJECT ${CMAKE_CURRENT_LIST_DIR}/doctest_main.cpp)
  target_link_libraries(flagos_doctest_main PUBLIC doctest::doctest)
endif()

# flagos_add_test(<name>
#   SOURCES <file>...            a doctest binary flagos_<name>_test; main() is already there
#   [LIBRARIES <target>...]
#   or
#   COMMAND <command> <arg>...   any command; a target's name stands for its binary
#
#   [ARGUMENTS <arg>...]         of the doctest binary
#   [LABELS <label>...]          default: unit for SOURCES, tree for COMMAND. The sanitizer presets
#                                run the labels unit and quick only
#   [ENVIRONMENT <name=value>...]
#   [WORKING_DIRECTORY <dir>]
#   [TIMEOUT <seconds>]          default 120; three times as much under a sanitizer
#   [SERIAL])                    nothing else runs meanwhile: for what measures time or memory
#
# The ctest name is <name>. Exit code 77 means skipped; print the reason.
function(flagos_add_test name)
  if(NOT FLAGOS_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL" "TIMEOUT;WORKING_DIRECTORY"
    "SOURCES;LIBRARIES;COMMAND;ARGUMENTS;LABELS;ENVIRONMENT")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "flagos_add_test(${name}): unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()

  if(arg_SOURCES AND NOT arg_COMMAND)
    set(target flagos_${name}_test)
    add_executable(${target} ${arg_SOURCES})
    target_link_libraries(${target} PRIVATE flagos_doctest_main ${arg_LIBRARIES})
    set(command ${target} ${arg_ARGUMENTS})
    set(labels unit)
  elseif(arg_COMMAND AND NOT arg_SOURCES)
    set(command ${arg_COMMAND})
    set(labels tree)
  else()
    message(FATAL_ERROR "flagos_add_test(${name}): give either SOURCES or COMMAND")
  endif()

  set(timeout 120)
  if(arg_TIMEOUT)
    set(timeout ${arg_TIMEOUT})
  endif()
  if(FLAGOS_SANITIZE)
    math(EXPR timeout "${timeout} * 3")
  endif()
  if(arg_LABELS)
    set(labels ${arg_LABELS})
  endif()
  if(NOT arg_WORKING_DIRECTORY)
    set(arg_WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  endif()

  add_test(NAME ${name} COMMAND ${command} WORKING_DIRECTORY ${arg_WORKING_DIRECTORY})
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${timeout}
    LABELS "${labels}"
    SKIP_RETURN_CODE 77
    RUN_SERIAL ${arg_SERIAL}
    ENVIRONMENT "${flagos_test_environment};${arg_ENVIRONMENT}")
endfunction()
