// A vector of at most N elements that lie in the object itself: for small lists on paths that must not allocate.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <type_traits>

namespace flagos {

template <typename T, std::size_t N>
class InlineVector {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  InlineVector() {}  // NOLINT(modernize-use-equals-default): places that no element has are not written
  InlineVector(std::initializer_list<T> values) {
    for (const T& value : values) push_back(value);
  }
  InlineVector(const InlineVector& other) : size_(other.size_) {
    std::uninitialized_copy_n(other.items_, size_, items_);
  }
  InlineVector& operator=(const InlineVector& other) {
    size_ = other.size_;
    std::uninitialized_copy_n(other.items_, size_, items_);
    return *this;
  }

  // The caller sees to it that there is room.
  void push_back(const T& value) { std::construct_at(items_ + size_++, value); }
  void resize(std::size_t size) {
    if (size > size_) std::uninitialized_default_construct_n(items_ + size_, size - size_);
    size_ = size;
  }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  static constexpr std::size_t capacity() { return N; }
  T* data() { return items_; }
  const T* data() const { return items_; }
  T* begin() { return items_; }
  T* end() { return items_ + size_; }
  const T* begin() const { return items_; }
  const T* end() const { return items_ + size_; }
  T& operator[](std::size_t i) { return items_[i]; }
  const T& operator[](std::size_t i) const { return items_[i]; }
  T& back() { return items_[size_ - 1]; }
  const T& back() const { return items_[size_ - 1]; }

  template <typename Range>
  friend bool operator==(const InlineVector& a, const Range& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  std::size_t size_ = 0;
  union {
    T items_[N];
  };
};

}  // namespace flagos
