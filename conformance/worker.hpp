// The process that runs cases: it gets a job through one pipe and reports through another, never
// through stdout.
#pragma once

#include <string>
#include <vector>

namespace flagos::conformance {

// Descriptors that a worker finds open when it starts.
inline constexpr int worker_job_descriptor = 3;
inline constexpr int worker_report_descriptor = 4;

// Pseudo cases that the orchestrator asks for.
inline constexpr const char* probe_id = "harness.probe";  // describes plugin and device
inline constexpr const char* again_id = "harness.again";  // describes them behind the last case
inline constexpr const char* ping_id = "harness.ping";    // the device still works

// A job is one line with a JSON object: token, settings, cases (ids), snapshot (describe the device
// at the end). A report is one JSON object per line, each with the token: begin {id}, end {result},
// caps {caps}, libraries {libraries}. After each end the worker waits for one byte: what was printed before it then
// belongs to this case, what comes later does not.
int worker_main();

}  // namespace flagos::conformance
