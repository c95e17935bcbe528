# Writes the commit that is being built into a header; the header changes only when its text does.
# Called with -DSOURCE=... -DOUTPUT=... at every build.
set(commit "unknown")
set(dirty false)
find_program(git git)
if(git)
  execute_process(COMMAND ${git} -C ${SOURCE} rev-parse HEAD
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(commit ${found})
    execute_process(COMMAND ${git} -C ${SOURCE} status --porcelain --untracked-files=no
      OUTPUT_VARIABLE changes ERROR_QUIET)
    if(changes)
      set(dirty true)
    endif()
  endif()
endif()
set(text "// The state of the sources that the suite was built from.
#pragma once

namespace flagos::conformance {

inline constexpr const char* suite_commit = \"${commit}\";
inline constexpr bool suite_dirty = ${dirty};

}  // namespace flagos::conformance
")
set(before "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} before)
endif()
if(NOT before STREQUAL text)
  file(WRITE ${OUTPUT} "${text}")
endif()
