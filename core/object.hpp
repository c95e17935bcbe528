// What stands behind a handle: a counted object with a tag. The handle table holds one reference.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

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
};
inline constexpr std::uint32_t tag_count = 13;
const char* tag_name(Tag tag);

class Object {
 public:
  explicit Object(Tag tag) : tag_(tag) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  Tag tag() const { return tag_; }
  std::uint64_t handle() const { return handle_; }
  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) release();
  }

 protected:
  // The last reference is gone: gives back what the plugin holds, now or when pending work has passed; then deletes.
  virtual void release() { delete this; }

 private:
  friend class HandleTable;
  std::uint64_t handle_ = 0;
  const Tag tag_;
  std::atomic<std::uint32_t> references_{1};
};

// A counted reference.
template <typename T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) {
    if (object_ != nullptr) object_->retain();
  }
  Ref(const Ref& other) : Ref(other.object_) {}
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
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  T* detach() { return std::exchange(object_, nullptr); }

 private:
  T* object_ = nullptr;
};

}  // namespace flagos::core
