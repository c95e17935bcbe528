// Loads one plugin in a process of its own, so that whatever its library does is a line in a
// report.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

namespace flagos::tools {

inline constexpr std::chrono::seconds probe_limit{5};

// {path, name, vendor, version, verdict, reason, devices: [...], says: [log lines], warns: [those that warn]}; verdict
// "crashed" when the process crashed, hung or exited, also while the plugin was being closed.
nlohmann::json probe(const std::string& path);

// What the child does: writes to file descriptor 3, or prints where that is not open. Returns the
// exit code.
int run_probe_child(const std::string& path);

}  // namespace flagos::tools
