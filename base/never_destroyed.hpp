// A static object that outlives everything: calls may come until the end of the process. It lies in place, so that making
// it needs no memory beside its own.
#pragma once

#include <cstddef>
#include <new>

namespace flagos {

template <typename T>
class NeverDestroyed {
 public:
  NeverDestroyed() { ::new (room_) T; }
  NeverDestroyed(const NeverDestroyed&) = delete;
  NeverDestroyed& operator=(const NeverDestroyed&) = delete;
  T& operator*() { return *std::launder(reinterpret_cast<T*>(room_)); }

 private:
  alignas(T) std::byte room_[sizeof(T)];
};

}  // namespace flagos
