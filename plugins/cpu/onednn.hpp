// oneDNN's products of matrices, opened when one first asks for them, and never required.
#pragma once

#include <flagos.h>

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/plugin_host.hpp"

namespace flagos::cpu {

struct OnednnFunctions;

// out = a b + beta out of matrices: their types, sizes, and the strides of rows and columns in elements.
struct MatmulShape {
  flagos_dtype_t in = FLAGOS_DTYPE_NONE, out = FLAGOS_DTYPE_NONE;
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t a[2] = {}, b[2] = {}, result[2] = {};
  float beta = 0;
  auto operator<=>(const MatmulShape&) const = default;
};

// Code for products of one shape; it runs on the thread that calls.
class Matmul {
 public:
  Matmul(const OnednnFunctions& functions, void* engine, const MatmulShape& shape);
  ~Matmul();
  Matmul(const Matmul&) = delete;
  Matmul& operator=(const Matmul&) = delete;

  // False: the library has only its slow reference code for this shape, or none.
  bool is_there() const noexcept { return primitive_ != nullptr; }
  // One of the library's codes; 0 for success.
  int run(const void* a, const void* b, void* out) const noexcept;

 private:
  struct State;

  const OnednnFunctions& functions_;
  void* const engine_;
  std::unique_ptr<State> state_;
  void* primitive_ = nullptr;
};

class Onednn {
 public:
  explicit Onednn(const Host& host);
  ~Onednn();
  Onednn(const Onednn&) = delete;
  Onednn& operator=(const Onednn&) = delete;

  // False where FLAGOS_CPU_ONEDNN is "none".
  bool is_wanted() const;
  // NULL where there is no library or none that does it better than a portable kernel. Throws for a library that
  // FLAGOS_CPU_ONEDNN names and that does not do.
  std::shared_ptr<const Matmul> matmul(const MatmulShape& shape);
  // What a code of Matmul::run says of an operator.
  static Failure failure(const char* name, int code) noexcept;

 private:
  struct Library;
  void open();

  const Host& host_;
  std::mutex mutex_;
  bool looked_ = false;
  std::unique_ptr<Library> library_;
  std::map<MatmulShape, std::shared_ptr<const Matmul>> known_;
};

}  // namespace flagos::cpu
