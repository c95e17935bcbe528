// Prints the kernels of this folder: flagos_sample_kernels [--no-locations]. Built by gcc or clang, the text is the same.
#include <cstdio>
#include <cstring>
#include <exception>

#include "kernels.hpp"

int main(int argc, char** argv) {
  try {
    using flagos::tile::DType;
    flagos::tile::Module module;
    flagos::samples::vector_add(module, DType::f32, 1024);
    flagos::samples::softmax(module, DType::f32, 1024);
    flagos::samples::layernorm(module, DType::bf16, 1024);
    flagos::samples::matmul_bias_relu(module, DType::f32, 64, 64, 32);
    flagos::samples::flash_attention(module, DType::bf16, 64, 64, 64);
    flagos::samples::histogram(module, 1024, 256);
    flagos::samples::scan(module, DType::f32, 1024);
    flagos::samples::gather_scatter_add(module, 256);
    flagos::samples::sort(module, DType::f32, 1024);
    flagos::samples::philox_dropout(module, 1024);
    const bool plain = argc > 1 && std::strcmp(argv[1], "--no-locations") == 0;
    std::fputs(module.text(!plain).c_str(), stdout);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
