#include "comm/handles.hpp"

#include <pthread.h>

#include <atomic>
#include <shared_mutex>

#include "base/error.hpp"

namespace flagos::comm {
namespace {

struct Slot {
  std::uint32_t generation = 0;
  std::shared_ptr<Communicator> communicator;
};

// The child of a fork has none of our threads.
std::atomic<bool> is_forked{false};

void check_process() {
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { is_forked.store(true, std::memory_order_relaxed); });
  static_cast<void>(registered);
  if (is_forked.load(std::memory_order_relaxed))
    throw_error(FLAGOS_STATUS_BAD_PROCESS,
                "this process is the child of a fork; communicators stay with the parent");
}

struct Table {
  std::shared_mutex mutex;
  std::vector<Slot> slots;
  static Table& get() {
    static Table* const table = new Table;  // calls may come while the process ends
    return *table;
  }
};

// A pattern in the middle, so that handles of core and small numbers are not taken for ours.
constexpr std::uint64_t pattern = 0xc0de;

std::uint64_t encode(std::size_t index, std::uint32_t generation) {
  return (static_cast<std::uint64_t>(generation) << 32) | (pattern << 16) | (index + 1);
}

Slot& find(Table& table, const flagos_comm_t* handle) {
  check_process();
  const auto value = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(handle));
  const std::size_t index = (value & 0xffff) - 1;
  if (((value >> 16) & 0xffff) == pattern && index < table.slots.size()) {
    Slot& slot = table.slots[index];
    if (slot.communicator != nullptr && slot.generation == value >> 32) return slot;
  }
  throw_error(FLAGOS_STATUS_INVALID_HANDLE, "0x{:x} is not a live communicator", value);
}

}  // namespace

flagos_comm_t* make_handle(std::shared_ptr<Communicator> communicator) {
  check_process();
  Table& table = Table::get();
  std::unique_lock lock(table.mutex);
  std::size_t index = 0;
  while (index < table.slots.size() && table.slots[index].communicator != nullptr) ++index;
  if (index == 0xffff)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "{} communicators live in this process", index);
  if (index == table.slots.size()) table.slots.emplace_back();
  Slot& slot = table.slots[index];
  ++slot.generation;
  slot.communicator = std::move(communicator);
  return reinterpret_cast<flagos_comm_t*>(
      static_cast<std::uintptr_t>(encode(index, slot.generation)));
}

std::shared_ptr<Communicator> resolve(const flagos_comm_t* handle) {
  Table& table = Table::get();
  std::shared_lock lock(table.mutex);
  return find(table, handle).communicator;
}

std::shared_ptr<Communicator> take_handle(const flagos_comm_t* handle) {
  Table& table = Table::get();
  std::unique_lock lock(table.mutex);
  return std::move(find(table, handle).communicator);
}

}  // namespace flagos::comm
