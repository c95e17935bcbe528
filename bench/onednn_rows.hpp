// Softmax and layernorm of rows by oneDNN, which is opened where it is found, on one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flagos::bench {

// Lasts until the process ends, like the library.
class OnednnRows {
 public:
  // Each throws std::runtime_error that says why it cannot be had. Rows are dense, and stay where they are.
  static OnednnRows softmax(std::int64_t rows, std::int64_t columns, float* x, float* y);
  static OnednnRows layernorm(std::int64_t rows, std::int64_t columns, float* x, float* w, float* b,
                              float* y, float eps);
  void run() const;
  static std::string version();

 private:
  struct Argument {
    int which;
    void* memory;
  };
  void* primitive_ = nullptr;
  std::vector<Argument> arguments_;
};

}  // namespace flagos::bench
