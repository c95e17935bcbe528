# FLAGOS_SANITIZE=address (with undefined) or thread instruments everything we compile.
# flagos_test_environment is what the sanitizer's run-time library is told in every test.
set(flagos_test_environment "")
if(FLAGOS_SANITIZE STREQUAL "address")
  set(flags -fsanitize=address,undefined -fno-sanitize-recover=all)
  # LLVM inside of PoCL gives threads another stack for signals, which the sanitizer would then unmap as its own. The leak
  # sanitizer reads the thread-local memory of dlopened libraries in threads that are just ending, and crashes.
  list(APPEND flagos_test_environment
    "ASAN_OPTIONS=detect_leaks=1:check_initialization_order=1:detect_stack_use_after_return=1:use_sigaltstack=0:intercept_tls_get_addr=0"
    "LSAN_OPTIONS=suppressions=${CMAKE_CURRENT_LIST_DIR}/leaks.supp:print_suppressions=0"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1")
elseif(FLAGOS_SANITIZE STREQUAL "thread")
  set(flags -fsanitize=thread)
  list(APPEND flagos_test_environment
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=${CMAKE_CURRENT_LIST_DIR}/races.supp")
elseif(FLAGOS_SANITIZE)
  message(FATAL_ERROR
    "FLAGOS_SANITIZE is '${FLAGOS_SANITIZE}'; it takes address, thread, or nothing")
endif()

if(FLAGOS_SANITIZE)
  # Instrumented code confuses GCC's flow analysis: this warning is judged in the other builds.
  add_compile_options(${flags} -fno-omit-frame-pointer -Wno-maybe-uninitialized)
  add_link_options(${flags})
  unset(flags)
endif()
