// Threads of the plugin: all signals blocked, the default floating-point state, a name for
// debuggers.
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace flagos {

// The processors that this process may use.
std::vector<int> usable_processors();

// `processors`: where it runs; empty: anywhere. Throws OUT_OF_RESOURCES when the system gives no
// thread.
std::thread start_thread(const std::string& name, const std::vector<int>& processors, std::function<void()> body);

}  // namespace flagos
