# Lists the functions that flagos.h declares, for the case that compares the suite's description with the header.
set(flagos_header ${PROJECT_SOURCE_DIR}/abi/flagos.h)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${flagos_header})
file(READ ${flagos_header} flagos_header_text)
string(REGEX MATCHALL "FLAGOS_API [a-z_0-9 *]+(flagos_[a-z_0-9]+)\\(" flagos_header_matches "${flagos_header_text}")
set(flagos_header_functions "")
foreach(match IN LISTS flagos_header_matches)
  string(REGEX REPLACE ".*(flagos_[a-z_0-9]+)\\($" "\\1" function "${match}")
  string(APPEND flagos_header_functions "\"${function}\",\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/generated/flagos_header_functions.inc
  CONTENT "@flagos_header_functions@" @ONLY)

# And the golden layout table, as rows for the preprocessor: FLAGOS_GOLDEN_STRUCT(type, size) and
# FLAGOS_GOLDEN_MEMBER(type, member, offset). The headers for kernels, operators and collectives are no part of
# this suite's contract.
set(flagos_golden ${PROJECT_SOURCE_DIR}/abi/layout/1.0.txt)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${flagos_golden})
file(STRINGS ${flagos_golden} flagos_golden_lines)
set(flagos_golden_layout "")
set(type "")
foreach(line IN LISTS flagos_golden_lines)
  if(line MATCHES "^struct (flagos_[a-z_0-9]+) size ([0-9]+)")
    set(type ${CMAKE_MATCH_1})
    set(size ${CMAKE_MATCH_2})
    if(type MATCHES "^flagos_(cpu|tile|ops|scalar|comm)_")
      set(type "")
    else()
      string(APPEND flagos_golden_layout "FLAGOS_GOLDEN_STRUCT(${type}, ${size})\n")
    endif()
  elseif(type AND line MATCHES "^ +([0-9]+) +[0-9]+ +[0-9]+ +([a-z_0-9]+) ")
    string(APPEND flagos_golden_layout "FLAGOS_GOLDEN_MEMBER(${type}, ${CMAKE_MATCH_2}, ${CMAKE_MATCH_1})\n")
  elseif(NOT line MATCHES "^ ")
    set(type "")
  endif()
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/generated/flagos_golden_layout.inc
  CONTENT "@flagos_golden_layout@" @ONLY)
