// Products on the fake's cuBLASLt, which really multiplies, and asks for its workspace and its alignment.
#include <doctest/doctest.h>

#include <bit>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "plugins/nvidia/test_plugin.hpp"

namespace flagos::nvidia::test {
namespace {

struct Tensor {
  flagos_address_t address = 0;
  std::vector<std::int64_t> shape, strides;
  flagos_dtype_t dtype = FLAGOS_DTYPE_FLOAT32;
  std::uint64_t view() {
    made.address = address;
    made.dtype = dtype;
    made.rank = static_cast<std::uint32_t>(shape.size());
    made.shape = shape.data();
    made.strides = strides.data();
    return address_of(&made);
  }
  flagos_tensor_t made{};
};

// One call of an operator by its name.
struct Call {
  Call(TestDevice& of, const char* name, std::vector<Tensor> given,
       std::vector<double> numbers = {})
      : device(of), tensors(std::move(given)) {
    desc.struct_size = sizeof(desc);
    flagos_operator_info_t info{};
    info.struct_size = sizeof(info);
    while (device.api.operators->get_info(device.get(), desc.index, &info) == FLAGOS_STATUS_OK &&
           std::string(info.name) != name)
      ++desc.index;
    REQUIRE(std::string(info.name) == name);
    // Numbers stand before the output.
    for (std::size_t i = 0; i + 1 < tensors.size(); ++i) add(tensors[i]);
    for (const double number : numbers)
      arguments.push_back(
          {FLAGOS_OPERATOR_ARGUMENT_TYPE_REAL, 0, std::bit_cast<std::uint64_t>(number)});
    add(tensors.back());
    desc.arguments = arguments.data();
    desc.argument_count = static_cast<std::uint32_t>(arguments.size());
  }
  void add(Tensor& tensor) {
    arguments.push_back({tensor.address != 0 ? FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR
                                             : FLAGOS_OPERATOR_ARGUMENT_TYPE_NONE,
                         0, tensor.address != 0 ? tensor.view() : 0});
  }
  std::uint32_t query() {
    flagos_operator_support_t support{};
    support.struct_size = sizeof(support);
    CHECK(device.api.operators->query(device.get(), &desc, &support) == FLAGOS_STATUS_OK);
    desc.workspace_bytes = support.workspace_bytes;
    if (support.workspace_bytes != 0) desc.workspace = device.alloc(support.workspace_bytes);
    return support.flags;
  }
  flagos_status_t run(flagos_plugin_stream_t* stream) {
    return device.api.operators->run(stream, &desc);
  }

  TestDevice& device;
  std::vector<Tensor> tensors;
  std::vector<flagos_operator_argument_t> arguments;
  flagos_operator_desc_t desc{};
};

constexpr std::uint32_t taken =
    FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS | FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE;

std::vector<float> write(TestDevice& device, flagos_plugin_stream_t* stream, std::uint64_t address,
                         std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> numbers(count);
  for (float& number : numbers) number = static_cast<float>(static_cast<int>(random() % 17)) - 8;
  REQUIRE(device.copy(stream, address, address_of(numbers.data()), 4 * count) == FLAGOS_STATUS_OK);
  REQUIRE(device.wait(stream) == FLAGOS_STATUS_OK);
  return numbers;
}

std::vector<float> read(TestDevice& device, flagos_plugin_stream_t* stream, std::uint64_t address,
                        std::size_t count) {
  std::vector<float> numbers;
  for (const std::uint32_t word : device.read(stream, address, count))
    numbers.push_back(std::bit_cast<float>(word));
  return numbers;
}

TEST_CASE(
    "operators: products of all layouts, with a matrix or a row added, in the stream's turn") {
  TestDevice device;
  flagos_plugin_stream_t* const stream = device.stream();
  constexpr std::int64_t m = 5, n = 7, k = 3;
  const std::uint64_t a = device.alloc(4096), b = device.alloc(4096), c = device.alloc(4096),
                      out = device.alloc(4096);
  const std::vector<float> in_a = write(device, stream, a, m * k, 1),
                           in_b = write(device, stream, b, k * n, 2),
                           in_c = write(device, stream, c, m * n, 3);
  for (const bool turned_a : {false, true})
    for (const bool turned_b : {false, true})
      for (const int addend : {0, 1, 2}) {
        CAPTURE(turned_a);
        CAPTURE(turned_b);
        CAPTURE(addend);
        const Tensor at_a{
            a,
            {m, k},
            turned_a ? std::vector<std::int64_t>{1, m} : std::vector<std::int64_t>{k, 1}};
        const Tensor at_b{
            b,
            {k, n},
            turned_b ? std::vector<std::int64_t>{1, k} : std::vector<std::int64_t>{n, 1}};
        const Tensor at_c{
            c, addend == 2 ? std::vector<std::int64_t>{n} : std::vector<std::int64_t>{m, n},
            addend == 2 ? std::vector<std::int64_t>{1} : std::vector<std::int64_t>{n, 1}};
        const Tensor at_out{out, {m, n}, {n, 1}};
        const double beta = addend == 2 ? 1 : 3;
        Call call = addend == 0 ? Call(device, "mm", {at_a, at_b, at_out})
                                : Call(device, "addmm", {at_c, at_a, at_b, at_out}, {beta, 2});
        REQUIRE(call.query() == taken);
        REQUIRE(call.run(stream) == FLAGOS_STATUS_OK);
        std::vector<float> expected;
        for (std::int64_t i = 0; i < m; ++i)
          for (std::int64_t j = 0; j < n; ++j) {
            double sum = 0;
            for (std::int64_t x = 0; x < k; ++x)
              sum += double{in_a[static_cast<std::size_t>(turned_a ? x * m + i : i * k + x)]} *
                     double{in_b[static_cast<std::size_t>(turned_b ? j * k + x : x * n + j)]};
            if (addend != 0)
              sum = 2 * sum +
                    beta * double{in_c[static_cast<std::size_t>(addend == 2 ? j : i * n + j)]};
            expected.push_back(static_cast<float>(sum));
          }
        CHECK(read(device, stream, out, m * n) == expected);
      }
}

TEST_CASE("operators: addresses of any alignment; a batch; behind a kernel that may fail") {
  TestDevice device;
  flagos_plugin_stream_t* const stream = device.stream();
  const std::uint64_t memory = device.alloc(4096),
                      flag = device.alloc(4, FLAGOS_MEMORY_KIND_PINNED);
  const std::vector<float> numbers = write(device, stream, memory, 64, 4);
  REQUIRE(device.launch(stream, "test_wait_and_fail", flag) == FLAGOS_STATUS_OK);
  // Three places of 2x2, a at 4 bytes behind what is aligned, one b for all.
  Call call(device, "matmul",
            {{memory + 4, {3, 2, 2}, {4, 2, 1}},
             {memory + 128, {2, 2}, {2, 1}},
             {memory + 1024, {3, 2, 2}, {8, 2, 1}}});
  REQUIRE(call.query() == taken);
  REQUIRE(call.run(stream) == FLAGOS_STATUS_OK);
  CHECK(device.api.stream->synchronize(stream, 0) == FLAGOS_STATUS_TIMEOUT);
  *reinterpret_cast<volatile std::uint32_t*>(flag) = 1;
  const std::vector<float> got = read(device, stream, memory + 1024, 24);
  for (std::size_t place = 0; place < 3; ++place)
    for (std::size_t i = 0; i < 2; ++i)
      for (std::size_t j = 0; j < 2; ++j)
        CHECK(got[place * 8 + i * 2 + j] ==
              numbers[1 + place * 4 + i * 2] * numbers[32 + j] +
                  numbers[1 + place * 4 + i * 2 + 1] * numbers[32 + 2 + j]);
}

TEST_CASE("operators: what cuBLASLt cannot express is not taken, nor is ordinary memory") {
  TestDevice device;
  flagos_plugin_stream_t* const stream = device.stream();
  const std::uint64_t memory = device.alloc(4096);
  const Tensor fine{memory, {4, 4}, {4, 1}}, gaps{memory, {4, 4}, {8, 2}},
      out{memory + 1024, {4, 4}, {4, 1}};
  CHECK(Call(device, "mm", {fine, gaps, out}).query() == 0);
  CHECK(Call(device, "mm", {gaps, fine, out}).run(stream) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(device.host.last_error() == "cuBLASLt does not take this call of mm");
  Tensor whole = fine;
  whole.dtype = FLAGOS_DTYPE_INT8;
  CHECK(Call(device, "mm", {whole, whole, out}).query() == 0);
  std::vector<float> own(16);
  Tensor ordinary = fine;
  ordinary.address = address_of(own.data());
  Call call(device, "mm", {ordinary, fine, out});
  CHECK(call.query() == taken);  // addresses are not looked at
  CHECK(call.run(stream) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(device.host.last_error().find("ordinary host memory") != std::string::npos);
}

TEST_CASE("operators: int8 is summed in int32, where it lies along the depth and is aligned") {
  TestDevice device;
  flagos_plugin_stream_t* const stream = device.stream();
  constexpr std::int64_t m = 6, n = 8, k = 16;
  const std::uint64_t a = device.alloc(4096), b = device.alloc(4096), out = device.alloc(4096);
  std::vector<std::int8_t> in_a(m * k), in_b(n * k);
  std::mt19937 random(5);
  for (auto* const numbers : {&in_a, &in_b})
    for (std::int8_t& number : *numbers) number = static_cast<std::int8_t>(random());
  REQUIRE(device.copy(stream, a, address_of(in_a.data()), in_a.size()) == FLAGOS_STATUS_OK);
  REQUIRE(device.copy(stream, b, address_of(in_b.data()), in_b.size()) == FLAGOS_STATUS_OK);
  const Tensor at_a{a, {m, k}, {k, 1}, FLAGOS_DTYPE_INT8},
      at_b{b, {k, n}, {1, k}, FLAGOS_DTYPE_INT8}, across{b, {k, n}, {n, 1}, FLAGOS_DTYPE_INT8},
      at_out{out, {m, n}, {n, 1}, FLAGOS_DTYPE_INT32};
  Call call(device, "addmm", {at_out, at_a, at_b, at_out}, {0, 3});
  REQUIRE(call.query() == taken);
  REQUIRE(call.run(stream) == FLAGOS_STATUS_OK);
  std::vector<std::uint32_t> expected;
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      std::int32_t sum = 0;
      for (std::int64_t x = 0; x < k; ++x)
        sum +=
            in_a[static_cast<std::size_t>(i * k + x)] * in_b[static_cast<std::size_t>(j * k + x)];
      expected.push_back(static_cast<std::uint32_t>(3 * sum));
    }
  CHECK(device.read(stream, out, m * n) == expected);
  CHECK(Call(device, "mm", {at_a, across, at_out}).query() == 0);
  CHECK(Call(device, "addmm", {at_out, at_a, at_b, at_out}, {0, 0.5}).query() == 0);
  Tensor narrow = at_out;
  narrow.dtype = FLAGOS_DTYPE_INT8;
  CHECK(Call(device, "mm", {at_a, at_b, narrow}).query() == 0);
  Tensor crooked = at_a;
  crooked.address += 4;
  Call refused(device, "mm", {crooked, at_b, at_out});
  CHECK(refused.query() == taken);  // addresses are not looked at
  CHECK(refused.run(stream) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(device.host.last_error().find("aligned to 16 bytes") != std::string::npos);
}

TEST_CASE("operators: float8 where the card has it, with a wider result") {
  // 1.5 in e4m3, 0.5 in e5m2.
  const std::vector<std::uint8_t> in_a(16 * 16, 0x3c), in_b(16 * 16, 0x38);
  for (const char* const capability : {"80", "89"}) {
    const Setting card("FLAGOS_FAKE_CUDA_CAPABILITY", capability);
    TestDevice device;
    flagos_plugin_stream_t* const stream = device.stream();
    const std::uint64_t a = device.alloc(256), b = device.alloc(256), out = device.alloc(1024);
    REQUIRE(device.copy(stream, a, address_of(in_a.data()), 256) == FLAGOS_STATUS_OK);
    REQUIRE(device.copy(stream, b, address_of(in_b.data()), 256) == FLAGOS_STATUS_OK);
    const Tensor at_a{a, {16, 16}, {16, 1}, FLAGOS_DTYPE_FLOAT8_E4M3FN},
        at_b{b, {16, 16}, {1, 16}, FLAGOS_DTYPE_FLOAT8_E5M2}, at_out{out, {16, 16}, {16, 1}};
    Call call(device, "mm", {at_a, at_b, at_out});
    if (std::string(capability) == "80") {
      CHECK(call.query() == 0);
      continue;
    }
    REQUIRE(call.query() == taken);
    REQUIRE(call.run(stream) == FLAGOS_STATUS_OK);
    CHECK(read(device, stream, out, 256) == std::vector<float>(256, 16 * 1.5f * 0.5f));
    const Tensor wide{a, {16, 16}, {16, 1}, FLAGOS_DTYPE_FLOAT8_E5M2};
    CHECK(Call(device, "mm", {wide, at_b, at_out}).query() == 0);
  }
}

TEST_CASE("operators: TF32 is taken where a variable allows it, and nowhere else") {
  for (const bool is_allowed : {false, true}) {
    CAPTURE(is_allowed);
    TestDevice device(Config{{"FLAGOS_NVIDIA_TF32", is_allowed ? "1" : "0"}});
    flagos_plugin_stream_t* const stream = device.stream();
    const std::uint64_t memory = device.alloc(1024);
    const float numbers[] = {1 + 0x1p-20f, 1};
    REQUIRE(device.copy(stream, memory, address_of(numbers), 8) == FLAGOS_STATUS_OK);
    Call call(device, "dot", {{memory, {1}, {1}}, {memory + 4, {1}, {1}}, {memory + 256, {}, {}}});
    REQUIRE(call.query() == taken);
    REQUIRE(call.run(stream) == FLAGOS_STATUS_OK);
    CHECK(read(device, stream, memory + 256, 1)[0] == (is_allowed ? 1.f : numbers[0]));
  }
}

TEST_CASE("operators: in steady state a call asks cuBLASLt for nothing but the product") {
  TestDevice device;
  flagos_plugin_stream_t* const stream = device.stream();
  const Fake fake;
  const std::uint64_t memory = device.alloc(4096);
  const Tensor one{memory, {4, 4}, {4, 1}}, out{memory + 1024, {4, 4}, {4, 1}};
  Call call(device, "mm", {one, one, out});
  REQUIRE(call.query() == taken);
  REQUIRE(call.run(stream) == FLAGOS_STATUS_OK);
  const std::int64_t before = fake.live();
  // The next call of the driver is the only one.
  for (int i = 0; i < 3; ++i) {
    fake.control(2, 1);
    CHECK(call.run(stream) == FLAGOS_STATUS_OK);
    CHECK(std::string(fake.failed()).empty());
  }
  fake.control(1, 1);
  CHECK(call.run(stream) == FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY);
  CHECK(std::string(fake.failed()) == "cublasLtMatmul");
  fake.control(0, 0);
  CHECK(fake.live() == before);
}

TEST_CASE("operators: without cuBLASLt there is no group; a library that is named must be one") {
  TestInstance without(Config{{"FLAGOS_NVIDIA_CUBLASLT", "none"}});
  CHECK(without.opened == FLAGOS_STATUS_OK);
  CHECK(without.api.operators == nullptr);
  CHECK(without.host.log().find("portable kernels: FLAGOS_NVIDIA_CUBLASLT is 'none'") !=
        std::string::npos);
  TestInstance missing(Config{{"FLAGOS_NVIDIA_CUBLASLT", "/nowhere"}});
  CHECK(missing.opened == FLAGOS_STATUS_NOT_FOUND);
  CHECK(missing.host.last_error().find("no cuBLASLt that can be opened") != std::string::npos);
}

}  // namespace
}  // namespace flagos::nvidia::test
