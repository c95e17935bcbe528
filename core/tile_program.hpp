// Portable modules that are loaded on a device. Who loads the same text again gets the same program: nothing is
// verified, lowered or compiled twice.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/device.hpp"
#include "core/tile_binary.hpp"

namespace flagos::core {

// The plugin's module, and how its kernels are launched.
class TileProgram {
 public:
  TileProgram(Device& device, TileBinary binary);  // loads it
  ~TileProgram();
  TileProgram(const TileProgram&) = delete;
  TileProgram& operator=(const TileProgram&) = delete;

  flagos_plugin_module_t* native() const { return native_; }
  const TileBinary& binary() const { return binary_; }

 private:
  Device& device_;  // outlives it: the device's own table and children hold all of them
  TileBinary binary_;
  flagos_plugin_module_t* native_ = nullptr;
};

class TileTable {
 public:
  explicit TileTable(Device& device) : device_(device) {}

  // What was loaded before under exactly this text and these options; nullptr when nothing was.
  std::shared_ptr<TileProgram> find(std::string_view text, std::string_view options);
  // Makes what is not there yet. Two threads that load the same text make it once. A text that the plugin's compiler
  // refused is refused again without asking.
  std::shared_ptr<TileProgram> load(std::string_view text, const std::string& options);
  // What was loaded before is not given any more: the device has lost it.
  void clear();

 private:
  struct Slot {
    std::string key;
    std::mutex mutex;  // held while the program is made
    std::shared_ptr<TileProgram> program;
    std::optional<Error> failure;
  };
  using SlotPtr = std::shared_ptr<Slot>;
  SlotPtr slot(const std::string& key);
  std::shared_ptr<TileProgram> make(std::string_view text, const std::string& options);
  void make_room();

  Device& device_;
  std::mutex mutex_;
  std::list<SlotPtr> slots_;                                                   // used last first
  std::unordered_map<std::string_view, std::list<SlotPtr>::iterator> by_key_;  // views into the slots
  std::size_t key_bytes_ = 0;
};

}  // namespace flagos::core
