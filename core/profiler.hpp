// Collects the records of finished operations of one open device in a ring of fixed size.
#pragma once

#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "core/device.hpp"

namespace flagos::core {

class Profiler : public Child {
 public:
  static constexpr Tag tag_of = Tag::profiler;

  Profiler(Device& device, std::uint64_t capacity);
  // Starts or stops the plugin; throws Error.
  void enable(bool enabled);
  void on_destroy() override;

  void push(const flagos_record_t& record);
  // Moves the oldest records out; gives their number, and how many were lost since the last call.
  std::uint64_t drain(flagos_record_t* records, std::uint64_t capacity, std::uint64_t& dropped);

 private:
  std::mutex mutex_;  // of the ring; held for a few records at a time
  std::vector<flagos_record_t> ring_;
  std::uint64_t first_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t dropped_ = 0;
};

// What the host service emit_record does; from any thread, also of the plugin.
void profiler_emit(Device& device, const flagos_record_t& record) noexcept;

}  // namespace flagos::core
