// A point in one stream that tells when all work before it has passed.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <memory>

#include "core/plugin.hpp"

namespace flagos::core {

class Stream;

class Marker {
 public:
  // Records an event of the plugin now. The stream lives longer than its markers: its own release waits for them.
  explicit Marker(Stream& stream);
  // For a stream whose work core holds back: done when `finish` is called.
  explicit Marker(const Tables& tables) : tables_(tables), held_(true) {}
  ~Marker();
  Marker(const Marker&) = delete;
  Marker& operator=(const Marker&) = delete;

  bool done();
  void finish() { done_.store(true, std::memory_order_release); }

 private:
  const Tables& tables_;
  std::shared_ptr<flagos_plugin_stream_t> stream_;  // where there is no event
  flagos_plugin_event_t* event_ = nullptr;
  const bool held_ = false;
  std::atomic<bool> done_{false};
};

}  // namespace flagos::core
