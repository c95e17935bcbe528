// Runs every kernel of this folder, and compares with plain C++ in double precision: in the interpreter, or on the device
// that FLAGOS_SAMPLE_DEVICE names.
#include "kernels.hpp"

#include <doctest/doctest.h>
#include <flagos_compiler.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <string>

#include "device_run.hpp"

using namespace flagos;
using tile::DType;

namespace {

std::mt19937_64& random() {
  static std::mt19937_64 generator = [] {
    const char* given = std::getenv("FLAGOS_TEST_SEED");
    const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device()();
    MESSAGE("seed ", seed);
    return std::mt19937_64(seed);
  }();
  return generator;
}

double uniform(double low, double high) {
  return std::uniform_real_distribution<double>(low, high)(random());
}

float round_to_bf16(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Numbers in memory, as f32 or bf16.
struct Memory {
  DType dtype = DType::f32;
  std::vector<std::uint8_t> bytes;
  std::size_t item() const { return dtype == DType::bf16 ? 2 : 4; }
  std::size_t size() const { return bytes.size() / item(); }

  Memory(DType type, std::size_t count) : dtype(type), bytes(count * item()) {}
  Memory(DType type, std::size_t count, const std::function<double(std::size_t)>& make)
      : Memory(type, count) {
    for (std::size_t i = 0; i < count; ++i) set(i, make(i));
  }
  void set(std::size_t i, double number) {
    if (dtype == DType::i32) {
      const auto value = static_cast<std::int32_t>(number);
      std::memcpy(&bytes[i * 4], &value, 4);
      return;
    }
    const auto value = dtype == DType::bf16 ? round_to_bf16(static_cast<float>(number))
                                            : static_cast<float>(number);
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, 4);
    if (dtype == DType::bf16) bits >>= 16;
    std::memcpy(&bytes[i * item()], &bits, item());
  }
  double operator[](std::size_t i) const {
    if (dtype == DType::i32) {
      std::int32_t value = 0;
      std::memcpy(&value, &bytes[i * 4], 4);
      return value;
    }
    std::uint32_t bits = 0;
    std::memcpy(&bits, &bytes[i * item()], item());
    if (dtype == DType::bf16) bits <<= 16;
    float value = 0;
    std::memcpy(&value, &bits, 4);
    return value;
  }
};

// A module with one kernel, and its arguments.
class Call {
 public:
  explicit Call(const std::function<void(tile::Module&)>& build) {
    tile::Module made;
    build(made);
    text_ = made.text();
    const std::string& text = text_;
    flagos_tile_module_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.text = text.data();
    desc.size_bytes = text.size();
    const flagos_status_t status = flagos_tile_module_create(&desc, &module_);
    INFO(flagos_compiler_last_error());
    REQUIRE(status == FLAGOS_STATUS_OK);
    const char* canonical = nullptr;
    REQUIRE(flagos_tile_module_get_text(module_, FLAGOS_TILE_TEXT_FLAG_LOCATIONS, &canonical,
                                        nullptr) == FLAGOS_STATUS_OK);
    CHECK(text == canonical);  // what the builder writes is canonical
  }
  ~Call() { flagos_tile_module_destroy(module_); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Call& on(Memory& memory) {
    arguments_.push_back(
        {reinterpret_cast<std::uintptr_t>(memory.bytes.data()), memory.bytes.size()});
    on_device_.push_back({memory.bytes.data(), memory.bytes.size(), 0});
    return *this;
  }
  Call& on(std::int64_t value) {
    arguments_.push_back({static_cast<std::uint64_t>(value), 0});
    on_device_.push_back({nullptr, 0, static_cast<std::uint64_t>(value)});
    return *this;
  }
  Call& on(double number) {
    const auto value = static_cast<float>(number);
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, 4);
    arguments_.push_back({bits, 0});
    on_device_.push_back({nullptr, 0, bits});
    return *this;
  }
  void run(std::uint32_t x, std::uint32_t y = 1) {
    const std::string device = samples::sample_device();
    if (!device.empty() && !samples::has_device(device)) {
      std::printf("skipped: there is no device %s\n", device.c_str());
      std::exit(77);
    }
    if (!device.empty()) {
      REQUIRE_NOTHROW(samples::run_on_device(device, text_, on_device_, x, y));
      return;
    }
    flagos_tile_interpret_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.grid[0] = x;
    desc.grid[1] = y;
    desc.grid[2] = 1;
    desc.argument_count = static_cast<std::uint32_t>(arguments_.size());
    desc.arguments = arguments_.data();
    desc.argument_stride = sizeof(flagos_tile_argument_t);
    const flagos_status_t status = flagos_tile_module_interpret(module_, &desc);
    INFO(flagos_compiler_last_error());
    REQUIRE(status == FLAGOS_STATUS_OK);
  }

 private:
  flagos_tile_module_t* module_ = nullptr;
  std::vector<flagos_tile_argument_t> arguments_;
  std::string text_;
  std::vector<samples::DeviceArgument> on_device_;
};

double unit(DType dtype) { return dtype == DType::bf16 ? 0x1p-8 : 0x1p-24; }

void check_close(double got, double wanted, double bound) {
  CAPTURE(got);
  CAPTURE(wanted);
  CHECK(std::fabs(got - wanted) <= bound);
}

std::uint32_t programs(std::size_t count, int block) {
  return static_cast<std::uint32_t>((count + static_cast<std::size_t>(block) - 1) /
                                    static_cast<std::size_t>(block));
}

}  // namespace

TEST_CASE("vector_add is exact") {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const std::size_t n :
         {std::size_t{0}, std::size_t{1}, std::size_t{64}, std::size_t{1000}}) {
      const auto any = [](std::size_t) { return std::rint(uniform(-100, 100)); };
      Memory x(dtype, n + 1, any), y(dtype, n + 1, any),
          z(dtype, n + 1, [](std::size_t) { return -7; });
      Call([&](tile::Module& m) { samples::vector_add(m, dtype, 64); })
          .on(x)
          .on(y)
          .on(z)
          .on(std::int64_t(n))
          .run(programs(n, 64));
      for (std::size_t i = 0; i < n; ++i) CHECK(z[i] == x[i] + y[i]);
      CHECK(z[n] == -7);  // behind the end nothing is written
    }
  }
}

TEST_CASE("softmax") {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const std::size_t rows = 5, columns = 201;
    Memory x(dtype, rows * columns, [](std::size_t) { return uniform(-20, 20); }),
        y(dtype, rows * columns);
    Call([&](tile::Module& m) { samples::softmax(m, dtype, 256); })
        .on(x)
        .on(y)
        .on(std::int64_t(rows))
        .on(std::int64_t(columns))
        .run(rows);
    for (std::size_t r = 0; r < rows; ++r) {
      double most = -1e300, sum = 0;
      for (std::size_t c = 0; c < columns; ++c) most = std::max(most, x[r * columns + c]);
      for (std::size_t c = 0; c < columns; ++c) sum += std::exp(x[r * columns + c] - most);
      for (std::size_t c = 0; c < columns; ++c) {
        const double wanted = std::exp(x[r * columns + c] - most) / sum;
        // The difference to the maximum is rounded too: exp makes that relative.
        check_close(y[r * columns + c], wanted,
                    unit(dtype) * wanted + 64 * 0x1p-24 * wanted + 1e-38);
      }
    }
  }
}

TEST_CASE("layernorm") {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const std::size_t rows = 4, columns = 150;
    Memory x(dtype, rows * columns, [](std::size_t) { return uniform(-3, 5); }),
        y(dtype, rows * columns);
    Memory w(dtype, columns, [](std::size_t) { return uniform(0.5, 2); }),
        b(dtype, columns, [](std::size_t) { return uniform(-1, 1); });
    Call([&](tile::Module& m) { samples::layernorm(m, dtype, 256); })
        .on(x)
        .on(w)
        .on(b)
        .on(y)
        .on(std::int64_t(rows))
        .on(std::int64_t(columns))
        .on(1e-5)
        .run(rows);
    for (std::size_t r = 0; r < rows; ++r) {
      double mean = 0, variance = 0;
      for (std::size_t c = 0; c < columns; ++c)
        mean += x[r * columns + c] / static_cast<double>(columns);
      for (std::size_t c = 0; c < columns; ++c)
        variance += std::pow(x[r * columns + c] - mean, 2) / static_cast<double>(columns);
      for (std::size_t c = 0; c < columns; ++c) {
        const double wanted =
            (x[r * columns + c] - mean) / std::sqrt(variance + 1e-5) * w[c] + b[c];
        check_close(y[r * columns + c], wanted,
                    unit(dtype) * std::fabs(wanted) +
                        32 * 0x1p-24 * (1 + std::fabs(wanted) + std::fabs(w[c]) * 4));
      }
    }
  }
}

TEST_CASE("matmul_bias_relu") {
  const std::size_t m = 37, n = 29, k = 45;
  SUBCASE("integers are exact") {
    const auto small = [](std::size_t) { return std::rint(uniform(-8, 8)); };
    Memory a(DType::f32, m * k, small), b(DType::f32, k * n, small), bias(DType::f32, n, small),
        c(DType::f32, m * n);
    Call([](tile::Module& module) { samples::matmul_bias_relu(module, DType::f32, 16, 8, 32); })
        .on(a)
        .on(b)
        .on(bias)
        .on(c)
        .on(std::int64_t(m))
        .on(std::int64_t(n))
        .on(std::int64_t(k))
        .run(programs(m, 16), programs(n, 8));
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < n; ++j) {
        double sum = bias[j];
        for (std::size_t l = 0; l < k; ++l) sum += a[i * k + l] * b[l * n + j];
        CHECK(c[i * n + j] == std::max(sum, 0.0));
      }
  }
  SUBCASE("numbers are within the bound of their sum") {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const auto any = [](std::size_t) { return uniform(-1, 1); };
      Memory a(dtype, m * k, any), b(dtype, k * n, any), bias(DType::f32, n, any), c(dtype, m * n);
      Call([&](tile::Module& module) { samples::matmul_bias_relu(module, dtype, 16, 8, 32); })
          .on(a)
          .on(b)
          .on(bias)
          .on(c)
          .on(std::int64_t(m))
          .on(std::int64_t(n))
          .on(std::int64_t(k))
          .run(programs(m, 16), programs(n, 8));
      for (std::size_t i = 0; i < m; ++i)
        for (std::size_t j = 0; j < n; ++j) {
          double sum = bias[j], size = std::fabs(bias[j]);
          for (std::size_t l = 0; l < k; ++l) {
            sum += a[i * k + l] * b[l * n + j];
            size += std::fabs(a[i * k + l] * b[l * n + j]);
          }
          const double wanted = std::max(sum, 0.0);
          check_close(c[i * n + j], wanted,
                      unit(dtype) * wanted + 0x1p-24 * static_cast<double>(k + 2) * size);
        }
    }
  }
}

TEST_CASE("flash_attention, causal") {
  const std::size_t heads = 2, n = 50, d = 16;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto any = [](std::size_t) { return uniform(-1, 1); };
    Memory q(dtype, heads * n * d, any), k(dtype, heads * n * d, any), v(dtype, heads * n * d, any),
        o(dtype, heads * n * d);
    Call([&](tile::Module& m) { samples::flash_attention(m, dtype, 16, 8, 16); })
        .on(q)
        .on(k)
        .on(v)
        .on(o)
        .on(std::int64_t(heads))
        .on(std::int64_t(n))
        .run(programs(n, 16), heads);
    for (std::size_t h = 0; h < heads; ++h)
      for (std::size_t i = 0; i < n; ++i) {
        std::vector<double> p(i + 1);
        double sum = 0;
        for (std::size_t j = 0; j <= i; ++j) {
          double score = 0;
          for (std::size_t l = 0; l < d; ++l)
            score += q[(h * n + i) * d + l] * k[(h * n + j) * d + l];
          sum += p[j] = std::exp(score / std::sqrt(static_cast<double>(d)));
        }
        for (std::size_t l = 0; l < d; ++l) {
          double wanted = 0;
          for (std::size_t j = 0; j <= i; ++j) wanted += p[j] / sum * v[(h * n + j) * d + l];
          // |v| is at most 1; bf16 rounds the weights and the result.
          check_close(o[(h * n + i) * d + l], wanted,
                      dtype == DType::bf16 ? 2 * 0x1p-8 : 64 * 0x1p-24);
        }
      }
  }
}

TEST_CASE("histogram") {
  const std::size_t n = 1000, bins = 37;
  Memory x(DType::i32, n, [](std::size_t) { return std::floor(uniform(-3, 40)); }),
      counts(DType::i32, bins);
  Call([](tile::Module& m) { samples::histogram(m, 128, 37); })
      .on(x)
      .on(counts)
      .on(std::int64_t(n))
      .run(programs(n, 128));
  std::vector<double> wanted(bins);
  for (std::size_t i = 0; i < n; ++i)
    if (x[i] >= 0 && x[i] < static_cast<double>(bins)) wanted[static_cast<std::size_t>(x[i])] += 1;
  for (std::size_t i = 0; i < bins; ++i) CHECK(counts[i] == wanted[i]);
}

TEST_CASE("scan") {
  const std::size_t rows = 3, columns = 100;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Memory x(dtype, rows * columns, [](std::size_t) { return uniform(-1, 1); }),
        y(dtype, rows * columns);
    Call([&](tile::Module& m) { samples::scan(m, dtype, 128); })
        .on(x)
        .on(y)
        .on(std::int64_t(rows))
        .on(std::int64_t(columns))
        .run(rows);
    for (std::size_t r = 0; r < rows; ++r) {
      double sum = 0, size = 0;
      for (std::size_t c = 0; c < columns; ++c) {
        sum += x[r * columns + c];
        size += std::fabs(x[r * columns + c]);
        check_close(y[r * columns + c], sum,
                    unit(dtype) * std::fabs(sum) + 0x1p-24 * static_cast<double>(c + 1) * size);
      }
    }
  }
}

TEST_CASE("gather_scatter_add adds to the same place as often as it is named") {
  const std::size_t n = 500, size = 60;
  Memory x(DType::f32, size, [](std::size_t) { return std::rint(uniform(-9, 9)); }),
      w(DType::f32, n, [](std::size_t) { return std::rint(uniform(-9, 9)); });
  Memory index(DType::i32, n, [](std::size_t) { return std::floor(uniform(-2, 62)); }),
      y(DType::f32, size, [](std::size_t i) { return static_cast<double>(i); });
  std::vector<double> wanted(size);
  std::iota(wanted.begin(), wanted.end(), 0);
  for (std::size_t i = 0; i < n; ++i)
    if (index[i] >= 0 && index[i] < static_cast<double>(size))
      wanted[static_cast<std::size_t>(index[i])] += x[static_cast<std::size_t>(index[i])] * w[i];
  Call([](tile::Module& m) { samples::gather_scatter_add(m, 64); })
      .on(x)
      .on(w)
      .on(index)
      .on(y)
      .on(std::int64_t(n))
      .on(std::int64_t(size))
      .run(programs(n, 64));
  for (std::size_t i = 0; i < size; ++i) CHECK(y[i] == wanted[i]);
}

TEST_CASE("sort is stable") {
  const std::size_t rows = 3, columns = 100;
  Memory x(DType::f32, rows * columns, [](std::size_t) { return std::rint(uniform(-9, 9)); }),
      y(DType::f32, rows * columns), from(DType::i32, rows * columns);
  Call([](tile::Module& m) { samples::sort(m, DType::f32, 128); })
      .on(x)
      .on(y)
      .on(from)
      .on(std::int64_t(rows))
      .on(std::int64_t(columns))
      .run(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    std::vector<std::size_t> order(columns);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return x[r * columns + a] < x[r * columns + b];
    });
    for (std::size_t c = 0; c < columns; ++c) {
      CHECK(y[r * columns + c] == x[r * columns + order[c]]);
      CHECK(from[r * columns + c] == static_cast<double>(order[c]));
    }
  }
}

TEST_CASE("philox_dropout drops about p, scales the rest, and repeats itself") {
  const std::size_t n = 10'000;
  Memory x(DType::f32, n, [](std::size_t) { return uniform(1, 2); }), y(DType::f32, n),
      again(DType::f32, n), other(DType::f32, n);
  const auto run = [&](Memory& out, std::int64_t seed) {
    Call([](tile::Module& m) { samples::philox_dropout(m, 256); })
        .on(x)
        .on(out)
        .on(std::int64_t(n))
        .on(0.25)
        .on(seed)
        .run(programs(n, 256));
  };
  run(y, 1234567890123);
  run(again, 1234567890123);
  run(other, 1234567890124);
  CHECK(y.bytes == again.bytes);
  CHECK(y.bytes != other.bytes);
  std::size_t dropped = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (y[i] == 0) {
      ++dropped;
    } else {
      CHECK(y[i] == static_cast<float>(x[i]) / 0.75F);
    }
  }
  // Ten standard deviations of a binomial distribution.
  CHECK(std::fabs(static_cast<double>(dropped) - 2500) < 10 * std::sqrt(10'000 * 0.25 * 0.75));
}
