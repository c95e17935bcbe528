// What runs in the handler writes with write(2) alone: no memory, no lock, no formatting of the C library.
#include "core/crash_report.hpp"

#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <mutex>

#include "core/entry.hpp"

namespace flagos::core {

namespace {

struct Code {
  std::uintptr_t base, begin, end;
  char path[256];
};

constexpr std::size_t most_plugins = 64;
std::array<Code, most_plugins> plugins;
std::atomic<std::size_t> plugin_count{0};

struct Taken {
  int number;
  const char* name;
  struct sigaction before;
};
std::array<Taken, 5> taken{{{SIGSEGV, "SIGSEGV", {}},
                            {SIGBUS, "SIGBUS", {}},
                            {SIGILL, "SIGILL", {}},
                            {SIGFPE, "SIGFPE", {}},
                            {SIGABRT, "SIGABRT", {}}}};

// ---- in the handler ----

class Line {
 public:
  Line& operator<<(const char* text) {
    for (; *text != '\0' && used_ + 1 < sizeof(text_); ++text) text_[used_++] = *text;
    return *this;
  }
  Line& decimal(std::uint64_t value) { return digits(value, 10); }
  Line& address(std::uint64_t value) {
    *this << "0x";
    return digits(value, 16);
  }
  ~Line() {
    text_[used_++] = '\n';
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text_, used_);
  }

 private:
  Line& digits(std::uint64_t value, unsigned base) {
    char reversed[32];
    std::size_t count = 0;
    do {
      reversed[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (count != 0 && used_ + 1 < sizeof(text_)) text_[used_++] = reversed[--count];
    return *this;
  }
  char text_[1024];
  std::size_t used_ = 0;
};

const Code* plugin_at(const void* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  for (std::size_t i = 0; i < plugin_count.load(std::memory_order_acquire); ++i)
    if (at >= plugins[i].begin && at < plugins[i].end) return &plugins[i];
  return nullptr;
}

// Of the frames below the signal's, the first one in a plugin: that may have called the C library.
void say_where() {
  std::array<void*, 64> frames;
  const int count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
  for (int i = 0; i < count; ++i) {
    const Code* const plugin = plugin_at(frames[i]);
    if (plugin == nullptr) continue;
    Line line;
    line << "flagos: it happened in the plugin " << plugin->path << " at ";
    line.address(reinterpret_cast<std::uintptr_t>(frames[i]) - plugin->base);
    return;
  }
  Line() << "flagos: no plugin is among the functions that were running on this thread";
}

void say_calls(const ThreadRecord& record) {
  const CallRecord& calls = record.calls;
  if (calls.running == nullptr) {
    Line() << "flagos: no call of flagos is running on this thread";
  } else {
    Line line;
    line << "flagos: the call is " << calls.running;
    if (calls.handle != nullptr) {
      line << " of ";
      line.address(reinterpret_cast<std::uintptr_t>(calls.handle));
    }
    line << ", number ";
    line.decimal(calls.count) << " of thread ";
    line.decimal(record.number);
  }
  const std::uint64_t first = calls.count > CallRecord::kept ? calls.count - CallRecord::kept : 0;
  // The running one is among them, at the end.
  const std::uint64_t end = calls.count - (calls.running != nullptr ? 1 : 0);
  for (std::uint64_t i = first; i < end; ++i) Line() << "flagos:   before it " << calls.names[i % CallRecord::kept];
}

void say_other_threads(const ThreadRecord* self) {
  for_each_thread_record([&](const ThreadRecord& record) {
    if (&record == self || record.calls.running == nullptr) return;
    Line line;
    line << "flagos: thread ";
    line.decimal(record.number) << " is in " << record.calls.running;
  });
}

void report(int number, const siginfo_t& info) {
  for (const Taken& one : taken) {
    if (one.number != number) continue;
    Line line;
    line << "flagos: the process is ended by " << one.name;
    if (info.si_code > 0 && number != SIGABRT) {
      line << " at address ";
      line.address(reinterpret_cast<std::uintptr_t>(info.si_addr));
    }
  }
  say_where();
  if (thread_record != nullptr) {
    say_calls(*thread_record);
  } else {
    Line() << "flagos: this thread has never called flagos";
  }
  say_other_threads(thread_record);
}

// What was there before decides how the process ends: a fault happens again when this returns.
void on_signal(int number, siginfo_t* info, void*) {
  static std::atomic<bool> reported{false};
  if (!reported.exchange(true)) {
    report(number, *info);
  } else {
    // Another thread is reporting: it shall come to its end.
    const timespec second{1, 0};
    ::nanosleep(&second, nullptr);
  }
  for (const Taken& one : taken) ::sigaction(one.number, &one.before, nullptr);
  if (info->si_code <= 0) ::raise(number);
}

}  // namespace

void enable_crash_report() {
  static std::once_flag once;
  std::call_once(once, [] {
    // The first backtrace loads a library, which a handler may not.
    std::array<void*, 2> frames;
    ::backtrace(frames.data(), static_cast<int>(frames.size()));
    for (Taken& one : taken) {
      struct sigaction action {};
      action.sa_sigaction = on_signal;
      action.sa_flags = SA_SIGINFO | SA_ONSTACK;
      ::sigaction(one.number, &action, &one.before);
    }
    process_state.fetch_or(process_recording, std::memory_order_relaxed);
  });
}

void crash_report_watch(const char* path, const void* code) noexcept {
  if ((process_state.load(std::memory_order_relaxed) & process_recording) == 0 || plugin_at(code) != nullptr) return;
  struct Search {
    std::uintptr_t code;
    Code found;
  } search{reinterpret_cast<std::uintptr_t>(code), {}};
  const bool found = ::dl_iterate_phdr(
                         [](dl_phdr_info* info, std::size_t, void* data) {
                           Search& wanted = *static_cast<Search*>(data);
                           for (int i = 0; i < info->dlpi_phnum; ++i) {
                             const auto& segment = info->dlpi_phdr[i];
                             const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
                             const std::uintptr_t end = begin + segment.p_memsz;
                             if (segment.p_type != PT_LOAD || wanted.code < begin || wanted.code >= end) continue;
                             wanted.found = {info->dlpi_addr, begin, end, ""};
                             return 1;
                           }
                           return 0;
                         },
                         &search) != 0;
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  const std::size_t count = plugin_count.load();
  if (!found || count == most_plugins) return;
  std::strncpy(search.found.path, path, sizeof(search.found.path) - 1);
  plugins[count] = search.found;
  plugin_count.store(count + 1, std::memory_order_release);
}

void crash_report_note(const void* handle) noexcept {
  CallRecord& calls = this_thread().calls;
  if (calls.handle == nullptr) calls.handle = handle;
}

}  // namespace flagos::core
