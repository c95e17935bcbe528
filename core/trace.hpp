// The trace layer: calls and ranges as Chrome-trace JSON (opens in Perfetto), and the layers' switches.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace flagos::core {

// Turns on what a comma-separated list names ("validation", "trace", "crash"); an unknown name throws INVALID_ARGUMENT.
// `trace_file` may be nullptr or "": flagos-trace-<pid>.json in the current directory.
void enable_layers(std::string_view layers, const char* trace_file);
// Writes out what was collected; called when a runtime is destroyed and at exit. Never throws.
void flush_trace() noexcept;

// One finished call or range of this thread; `name` is copied unless it is static.
void trace_event(std::string_view name, bool is_static, std::uint64_t start_ns, std::uint64_t end_ns) noexcept;
// What flush_trace writes.
std::string trace_json();
// How many events were lost because a thread's buffer was full or a file could not be written.
std::uint64_t trace_dropped();

}  // namespace flagos::core
