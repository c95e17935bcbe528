// The crash layer: where the process is brought down by a signal, standard error says in which plugin, in which call and
// after which calls. Off unless asked for, since it takes the handlers of five signals; they go on to those from before.
#pragma once

namespace flagos::core {

// Takes SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT, once.
void enable_crash_report();
// The library around `code` is a plugin's. Does nothing while the layer is off.
void crash_report_watch(const char* path, const void* code) noexcept;
// The object that the running call of this thread is about; the first one counts.
void crash_report_note(const void* handle) noexcept;

}  // namespace flagos::core
