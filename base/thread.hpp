// Threads of flagos: all signals blocked, since they belong to the application, the default floating-point state, a name for
// debuggers.
#pragma once

#include <signal.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace flagos {

// The processors that this process may use.
std::vector<int> usable_processors();

// A new thread inherits the mask: while this lives, threads that a library starts take no signal of the application.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// `processors`: where it runs; empty: anywhere. Throws OUT_OF_RESOURCES when the system gives no
// thread.
std::thread start_thread(const std::string& name, const std::vector<int>& processors, std::function<void()> body);

}  // namespace flagos
