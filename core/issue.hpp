// What issue.cpp shares with the soft queue and with graphs.
#pragma once

#include <flagos_plugin.h>

#include <functional>

#include "core/command.hpp"

namespace flagos::core {

// Calls `function(user_data, status)` as a host function of the application: from inside it only functions marked
// "Callback: yes" are allowed.
void call_host_function(flagos_host_function_t function, void* user_data, flagos_status_t status) noexcept;

// Has `function` called by the plugin when the work before is done; only where the plugin has launch_host.
flagos_status_t issue_notification(Stream& stream, std::function<void(flagos_status_t)> function);

// Records `event` on the stream as the plugin's own, or as a fresh one where the last record is held or captured.
flagos_status_t issue_record(Stream& stream, Event& event);

}  // namespace flagos::core
