// The trace layer: calls and ranges as Chrome-trace JSON (opens in Perfetto), and the layers' switches.
#pragma once

#include <string_view>

namespace flagos::core {

// Turns on what a comma-separated list names ("validation", "trace"); an unknown name throws INVALID_ARGUMENT.
void enable_layers(std::string_view layers, const char* trace_file);
// Writes out what was collected; called when a runtime is destroyed and at exit.
void flush_trace();

}  // namespace flagos::core
