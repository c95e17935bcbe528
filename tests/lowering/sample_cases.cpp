// The kernels of samples/kernels with arguments.
#include <cstring>
#include <functional>

#include "samples/kernels/kernels.hpp"
#include "tests/lowering/cases.hpp"

namespace flagos::compiler::test {
namespace {

class Sample {
 public:
  Sample(std::vector<Case>& cases, std::uint64_t& seed, std::string name,
         const std::function<void(tile::Module&)>& build)
      : cases_(cases), seed_(seed) {
    tile::Module module;
    build(module);
    made_.text = module.text();
    made_.name = std::move(name);
  }
  Sample& in(DType dtype, std::size_t count) {
    made_.arguments.push_back({dtype, random_memory(dtype, count, seed_++), true});
    return *this;
  }
  // Indices from 0 to below `limit`.
  Sample& index(std::size_t count, std::uint32_t limit) {
    in(DType::i32, count);
    auto* words = reinterpret_cast<std::uint32_t*>(made_.arguments.back().memory.data());
    for (std::size_t i = 0; i < count; ++i) words[i] %= limit;
    return *this;
  }
  Sample& out(DType dtype, std::size_t count) {
    const auto bytes = count * static_cast<std::size_t>(info(dtype).bytes);
    made_.arguments.push_back({dtype, std::vector<std::byte>(bytes), true});
    return *this;
  }
  template <typename T>
  Sample& scalar(DType dtype, T value) {
    std::vector<std::byte> bytes(sizeof value);
    std::memcpy(bytes.data(), &value, sizeof value);
    made_.arguments.push_back({dtype, std::move(bytes), false});
    return *this;
  }
  Sample& i32(std::int32_t value) { return scalar(DType::i32, value); }
  void grid(std::uint32_t x, std::uint32_t y = 1) {
    made_.grid = {x, y, 1};
    cases_.push_back(std::move(made_));
  }

 private:
  std::vector<Case>& cases_;
  std::uint64_t& seed_;
  Case made_;
};

}  // namespace

std::vector<Case> sample_cases(std::uint64_t seed) {
  using compiler::DType::bf16, compiler::DType::f32, compiler::DType::i32;
  using tile::DType;
  std::vector<Case> cases;
  const auto add = [&](std::string name, const std::function<void(tile::Module&)>& build) {
    return Sample(cases, seed, std::move(name), build);
  };
  add("vector add", [](auto& m) { samples::vector_add(m, DType::f32, 256); })
      .in(f32, 1000)
      .in(f32, 1000)
      .out(f32, 1000)
      .i32(1000)
      .grid(4);
  add("vector add bf16", [](auto& m) { samples::vector_add(m, DType::bf16, 100); })
      .in(bf16, 150)
      .in(bf16, 150)
      .out(bf16, 150)
      .i32(150)
      .grid(2);
  add("softmax", [](auto& m) { samples::softmax(m, DType::f32, 512); })
      .in(f32, 1500)
      .out(f32, 1500)
      .i32(3)
      .i32(500)
      .grid(3);
  add("softmax bf16", [](auto& m) { samples::softmax(m, DType::bf16, 64); })
      .in(bf16, 150)
      .out(bf16, 150)
      .i32(3)
      .i32(50)
      .grid(3);
  add("layernorm", [](auto& m) { samples::layernorm(m, DType::f32, 256); })
      .in(f32, 600)
      .in(f32, 200)
      .in(f32, 200)
      .out(f32, 600)
      .i32(3)
      .i32(200)
      .scalar(f32, 1e-5F)
      .grid(3);
  add("matmul", [](auto& m) { samples::matmul_bias_relu(m, DType::f32, 32, 32, 16); })
      .in(f32, 50 * 40)
      .in(f32, 40 * 60)
      .in(f32, 60)
      .out(f32, 50 * 60)
      .i32(50)
      .i32(60)
      .i32(40)
      .grid(2, 2);
  add("matmul bf16", [](auto& m) { samples::matmul_bias_relu(m, DType::bf16, 16, 64, 32); })
      .in(bf16, 20 * 40)
      .in(bf16, 40 * 64)
      .in(f32, 64)
      .out(bf16, 20 * 64)
      .i32(20)
      .i32(64)
      .i32(40)
      .grid(2);
  add("flash attention", [](auto& m) { samples::flash_attention(m, DType::f32, 16, 16, 32); })
      .in(f32, 2 * 40 * 32)
      .in(f32, 2 * 40 * 32)
      .in(f32, 2 * 40 * 32)
      .out(f32, 2 * 40 * 32)
      .i32(2)
      .i32(40)
      .grid(3, 2);
  add("flash attention bf16", [](auto& m) { samples::flash_attention(m, DType::bf16, 32, 16, 16); })
      .in(bf16, 40 * 16)
      .in(bf16, 40 * 16)
      .in(bf16, 40 * 16)
      .out(bf16, 40 * 16)
      .i32(1)
      .i32(40)
      .grid(2, 1);
  add("histogram", [](auto& m) { samples::histogram(m, 256, 32); })
      .index(1000, 40)
      .out(i32, 32)
      .i32(1000)
      .grid(4);
  add("scan", [](auto& m) { samples::scan(m, DType::f32, 512); })
      .in(f32, 1500)
      .out(f32, 1500)
      .i32(3)
      .i32(500)
      .grid(3);
  add("gather scatter add", [](auto& m) { samples::gather_scatter_add(m, 128); })
      .in(f32, 300)
      .in(f32, 300)
      .index(300, 300)
      .out(f32, 300)
      .i32(300)
      .i32(300)
      .grid(3);
  add("sort", [](auto& m) { samples::sort(m, DType::f32, 128); })
      .in(f32, 300)
      .out(f32, 300)
      .out(i32, 300)
      .i32(3)
      .i32(100)
      .grid(3);
  add("philox dropout", [](auto& m) { samples::philox_dropout(m, 256); })
      .in(f32, 700)
      .out(f32, 700)
      .i32(700)
      .scalar(f32, 0.3F)
      .scalar(compiler::DType::i64, std::int64_t{123456789012345})
      .grid(3);
  return cases;
}

}  // namespace flagos::compiler::test
