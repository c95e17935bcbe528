// Creation and removal of handles.
#include "core/handle_table.hpp"

#include "base/error.hpp"
#include "core/epoch.hpp"

namespace flagos::core {

namespace {

// Odd, so that it runs through all 2^32 generations.
constexpr std::uint32_t generation_step = 0x9e3779b9u;

// Where a slot's generations begin: unlike its neighbours', so that a flipped bit of one handle makes no other live
// one, however often the slots were used. The finalizer of MurmurHash3 (Appleby).
std::uint32_t first_generation(std::uint32_t index) {
  index ^= index >> 16;
  index *= 0x85ebca6bu;
  index ^= index >> 13;
  index *= 0xc2b2ae35u;
  return index ^ (index >> 16);
}

}  // namespace

HandleTable& handles = *new HandleTable;  // never destroyed: calls may come until the end of the process

const char* tag_name(Tag tag) {
  static constexpr const char* names[tag_count] = {
      "runtime",         "device",      "stream",   "event", "module",           "blob",     "kernel",
      "prepared launch", "memory pool", "timeline", "graph", "graph executable", "profiler", "physical memory block",
      "communicator"};
  return names[static_cast<std::uint32_t>(tag)];
}

HandleTable::~HandleTable() {
  for (const std::atomic<Page*>& page : pages_) delete page.load(std::memory_order_relaxed);
}

std::uint64_t HandleTable::insert(Object* object) {
  std::lock_guard lock(mutex_);
  std::uint32_t index = 0;
  if (free_.empty()) {
    if (next_ == page_size * page_count)
      throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "all {} handles are in use", next_ - 1);
    index = next_;
    std::atomic<Page*>& page = pages_[index / page_size];
    if (page.load(std::memory_order_relaxed) == nullptr) page.store(new Page, std::memory_order_release);
    free_.reserve(next_);  // so that remove never allocates
    slot(index).generation = first_generation(index);
    ++next_;
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Slot& the_slot = slot(index);
  object->handle_ = (std::uint64_t{the_slot.generation} << 32) | index;
  the_slot.object.store(object, std::memory_order_release);
  return object->handle_;
}

Object* HandleTable::remove(Object* object) {
  std::lock_guard lock(mutex_);
  const auto index = static_cast<std::uint32_t>(object->handle_);
  Slot& the_slot = slot(index);
  if (the_slot.object.load(std::memory_order_relaxed) != object) return nullptr;
  the_slot.object.store(nullptr, std::memory_order_seq_cst);
  the_slot.generation += generation_step;
  // After 2^32 uses every generation was seen: such a slot rests for good.
  if (++the_slot.uses != 0) free_.push_back(index);
  return object;
}

std::vector<Ref<Object>> HandleTable::collect(const std::function<bool(const Object&)>& wanted) {
  std::lock_guard lock(mutex_);
  std::vector<Ref<Object>> found;
  for (std::uint32_t index = 1; index < next_; ++index) {
    Object* object = slot(index).object.load(std::memory_order_relaxed);
    if (object != nullptr && wanted(*object)) found.emplace_back(object);
  }
  return found;
}

bool remove_handle(Object* object) {
  Object* removed = handles.remove(object);
  if (removed == nullptr) return false;
  epoch::retire(removed, [](epoch::Retired* item) { static_cast<Object*>(item)->retired(); });
  return true;
}

}  // namespace flagos::core
