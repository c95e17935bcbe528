// Handles are values: index (low 32 bits) and generation (high 32 bits) into a paged table that never shrinks.
// A lookup is a few loads and compares and cannot crash on any value. Only inside a read section.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "core/object.hpp"

namespace flagos::core {

class HandleTable {
 public:
  HandleTable() = default;
  ~HandleTable();
  HandleTable(const HandleTable&) = delete;
  HandleTable& operator=(const HandleTable&) = delete;

  // Takes over the caller's reference and gives the object its handle.
  std::uint64_t insert(Object* object);
  // Ends the handle: from here on it is stale. Gives the table's reference to the caller, who must retire it (see
  // remove_handle); nullptr if another thread was faster.
  Object* remove(Object* object);

  // Ends a handle in the child of a fork, where nobody may take a lock; the object stays where it is.
  void forget(Object* object) { slot(static_cast<std::uint32_t>(object->handle_)).object.store(nullptr); }
  // All live objects that `wanted` accepts. For cleaning up, not for speed.
  std::vector<Ref<Object>> collect(const std::function<bool(const Object&)>& wanted);

  Object* find(std::uint64_t handle) const {
    const auto index = static_cast<std::uint32_t>(handle);
    if (index >= page_count * page_size) return nullptr;
    const Page* page = pages_[index / page_size].load(std::memory_order_acquire);
    if (page == nullptr) return nullptr;
    Object* object = page->slots[index % page_size].object.load(std::memory_order_acquire);
    return object != nullptr && object->handle_ == handle ? object : nullptr;
  }

 private:
  static constexpr std::uint32_t page_size = 1024;
  static constexpr std::uint32_t page_count = 16384;
  struct Slot {
    std::atomic<Object*> object{nullptr};
    std::uint32_t generation = 0;
    std::uint32_t uses = 0;
  };
  struct Page {
    std::array<Slot, page_size> slots;
  };
  Slot& slot(std::uint32_t index) {
    return pages_[index / page_size].load(std::memory_order_relaxed)->slots[index % page_size];
  }

  std::array<std::atomic<Page*>, page_count> pages_{};
  std::mutex mutex_;  // of what follows, and of creation
  std::vector<std::uint32_t> free_;
  std::uint32_t next_ = 1;  // index 0 is never used, so that no handle is 0
};

// The table of this process; lives until the end of it.
extern HandleTable& handles;

// Ends an object's handle and drops the table's reference once no other call can be looking at the object.
// False if another thread was faster.
bool remove_handle(Object* object);

}  // namespace flagos::core
