// What stands behind a handle: a counted object with a tag. The handle table holds one reference.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "core/epoch.hpp"

namespace flagos::core {

enum class Tag : std::uint32_t {
  runtime,
  device,
  stream,
  event,
  module,
  blob,
  kernel,
  prepared,
  memory_pool,
  timeline,
  graph,
  graph_exec,
  profiler,
  physical_memory,
  communicator,
};
inline constexpr std::uint32_t tag_count = 15;
const char* tag_name(Tag tag);

class Object : public epoch::Retired {
 public:
  explicit Object(Tag tag) : tag_(tag) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  Tag tag() const { return tag_; }
  std::uint64_t handle() const { return handle_; }
  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  // For whoever found the object by a plain pointer: false when its last reference is gone already.
  bool try_retain() {
    std::uint32_t count = references_.load(std::memory_order_relaxed);
    while (count != 0) {
      if (references_.compare_exchange_weak(count, count + 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }
  void drop() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) release();
  }

  std::uint32_t references() const { return references_.load(std::memory_order_acquire); }
  // The handle is gone and no call can be looking at the object any more: gives up the table's reference.
  virtual void retired() { drop(); }

 protected:
  // The last reference is gone: gives back what the plugin holds, now or when pending work has passed; then deletes.
  virtual void release() { delete this; }

 private:
  friend class HandleTable;
  std::uint64_t handle_ = 0;
  const Tag tag_;
  std::atomic<std::uint32_t> references_{1};
};

// A counted reference. Holds an Object*, so that only making and using one needs the whole of T.
template <typename T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) { retain(); }
  Ref(const Ref& other) : object_(other.object_) { retain(); }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->drop();
  }
  // Takes over the reference that `new` made.
  static Ref adopt(T* object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  T* get() const { return static_cast<T*>(object_); }
  T* operator->() const { return get(); }
  T& operator*() const { return *get(); }
  explicit operator bool() const { return object_ != nullptr; }
  // The caller takes over the reference.
  T* detach() { return static_cast<T*>(std::exchange(object_, nullptr)); }

 private:
  void retain() {
    if (object_ != nullptr) object_->retain();
  }
  Object* object_ = nullptr;
};

}  // namespace flagos::core
