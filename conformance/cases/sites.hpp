// Several open devices in one case: those of the plugin, openings of one again, and those of other plugins.
#pragma once

#include <string>
#include <vector>

#include "conformance/case.hpp"

namespace flagos::conformance {

flagos_address_t address_of(const void* pointer);

// An open device with a stream and memory; all of it goes in the destructor.
class Site {
 public:
  Site(Context& t, std::uint32_t index, std::uint64_t size);
  ~Site() { close(); }
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  flagos_device_t* device() const { return device_; }
  flagos_stream_t* stream() const { return stream_; }
  flagos_address_t memory() const { return memory_; }
  void synchronize();
  void write(std::span<const std::uint8_t> bytes) { write_at(memory_, bytes); }
  std::vector<std::uint8_t> read() { return read_at(memory_, size_); }
  // Other memory of this device.
  void write_at(flagos_address_t address, std::span<const std::uint8_t> bytes);
  std::vector<std::uint8_t> read_at(flagos_address_t address, std::uint64_t size);

 private:
  void close();

  Context& t_;
  std::uint64_t size_;
  flagos_device_t* device_ = nullptr;
  flagos_stream_t* stream_ = nullptr;
  flagos_address_t memory_ = 0;
};

std::uint32_t device_count(Context& t);
// Another device of the plugin, or the same one again.
std::uint32_t other_index(Context& t);
flagos_status_t copy_peer(const Site& at, const Site& target, const Site& source,
                          std::uint64_t size);

// A plugin of another kind that is installed here, "" when there is none.
std::string other_plugin(const Context::Settings& settings);

}  // namespace flagos::conformance
