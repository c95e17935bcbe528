// flagos bench ops: operators on a device, beside what its memory and its arithmetic can do, and portable kernels beside the
// device's own versions. JSON, and a page of charts.
#include <flagos_ops.h>

#include <fmt/format.h>
#include <cxxopts.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "bench/bench_device.hpp"
#include "bench/ceiling.hpp"
#include "bench/ops_page.hpp"

namespace flagos::bench {
namespace {

using Shape = std::vector<std::int64_t>;

std::int64_t elements_of(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}
std::string shape_text(const Shape& shape) { return fmt::format("{}", fmt::join(shape, "x")); }

struct DTypeRow {
  const char* name;
  flagos_dtype_t dtype;
};
constexpr DTypeRow dtypes[] = {{"float32", FLAGOS_DTYPE_FLOAT32},
                               {"float16", FLAGOS_DTYPE_FLOAT16},
                               {"bfloat16", FLAGOS_DTYPE_BFLOAT16},
                               {"int64", FLAGOS_DTYPE_INT64}};

// An open device and the tensors of one case.
class World {
 public:
  explicit World(const std::string& id) {
    must(flagos_runtime_create(nullptr, &runtime_), "flagos_runtime_create");
    std::uint32_t index = 0;
    must(flagos_device_find(runtime_, id.c_str(), &index), "flagos_device_find");
    must(flagos_device_open(runtime_, index, &device_), "flagos_device_open");
    must(flagos_stream_create(device_, nullptr, &stream_), "flagos_stream_create");
  }
  ~World() {
    clear();
    flagos_stream_destroy(stream_);
    flagos_device_close(device_);
    flagos_runtime_destroy(runtime_);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  flagos_device_info_t info() const {
    flagos_device_info_t out{};
    out.struct_size = sizeof(out);
    must(flagos_device_get_info(device_, &out), "flagos_device_get_info");
    return out;
  }
  flagos_stream_t* stream() const { return stream_; }
  bool is_host() const { return info().type == FLAGOS_DEVICE_TYPE_CPU; }
  // Whether the device has a version of its own.
  bool has_native(std::uint32_t index) const {
    std::uint32_t native = 0;
    must(flagos_ops_get_native(device_, index, &native), "flagos_ops_get_native");
    return native != 0;
  }
  void wait() const {
    must(flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE), "flagos_stream_synchronize");
  }

  // A tensor of small numbers, none of them 0.
  flagos_ops_argument_t tensor(const Shape& shape, flagos_dtype_t dtype, Shape strides = {}) {
    const std::uint64_t item = FLAGOS_DTYPE_BITS(dtype) / 8;
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = static_cast<std::uint64_t>(elements_of(shape)) * item;
    flagos_address_t address = 0;
    must(flagos_memory_alloc(device_, &desc, &address), "flagos_memory_alloc");
    memory_.push_back(address);
    const std::uint64_t one = dtype == FLAGOS_DTYPE_FLOAT32    ? 0x3f8000003f800000U
                              : dtype == FLAGOS_DTYPE_FLOAT16  ? 0x3c003c003c003c00U
                              : dtype == FLAGOS_DTYPE_BFLOAT16 ? 0x3f803f803f803f80U
                                                               : 1;
    must(flagos_memory_fill(stream_, address, &one, static_cast<std::uint32_t>(item),
                            desc.size_bytes),
         "flagos_memory_fill");
    shapes_.push_back(shape);
    const std::int64_t* const dims = shapes_.back().data();
    const std::int64_t* steps = nullptr;
    if (!strides.empty()) {
      shapes_.push_back(std::move(strides));
      steps = shapes_.back().data();
    }
    tensors_.push_back({sizeof(flagos_tensor_t), dtype, address, 0,
                        static_cast<std::uint32_t>(shape.size()), dims, steps});
    return {reinterpret_cast<std::uintptr_t>(&tensors_.back()), 0, 0};
  }
  // The same of random numbers.
  flagos_ops_argument_t random_tensor(const Shape& shape, flagos_dtype_t dtype) {
    const flagos_ops_argument_t out = tensor(shape, dtype);
    const flagos_tensor_t* const made = &tensors_.back();
    must(FLAGOS_DTYPE_CODE(dtype) == FLAGOS_DTYPE_CODE(FLAGOS_DTYPE_INT64)
             ? flagos_ops_randint(stream_, -1000000000, 1000000000, 1, 0, made)
             : flagos_ops_randn(stream_, 1, 0, made),
         "random numbers");
    return out;
  }
  void clear() {
    wait();
    for (const flagos_address_t address : memory_) flagos_memory_free(device_, address);
    memory_.clear();
    tensors_.clear();
    shapes_.clear();
  }

 private:
  flagos_runtime_t* runtime_ = nullptr;
  flagos_device_t* device_ = nullptr;
  flagos_stream_t* stream_ = nullptr;
  std::vector<flagos_address_t> memory_;
  std::deque<flagos_tensor_t> tensors_;
  std::deque<Shape> shapes_;
};

flagos_ops_argument_t number(std::int64_t value) {
  return {static_cast<std::uint64_t>(value), 0, 0};
}
constexpr flagos_ops_argument_t absent{0, 0, 0};

using Arguments = std::vector<flagos_ops_argument_t>;
struct Case {
  const char* op;
  std::string label;
  const char* dtype;
  double bytes;  // that must be moved
  double flops;  // 0: what counts are the bytes
  std::function<Arguments(World&)> make;
};

// Products and attention are larger on a card, which small ones do not fill.
std::vector<Case> all_cases(std::int64_t mebibytes, bool is_host) {
  const std::vector<std::int64_t> products =
      is_host ? std::vector<std::int64_t>{256, 512, 1024} : std::vector<std::int64_t>{1024, 4096};
  constexpr std::int64_t columns = 4096;
  std::vector<Case> cases;
  for (const auto& [name, dtype] : dtypes) {
    const std::int64_t size = FLAGOS_DTYPE_BITS(dtype) / 8;
    const std::int64_t n = (mebibytes << 20) / size, rows = n / columns;
    const double bytes = static_cast<double>(n * size);
    const auto flat = [&](const char* op, int inputs, Arguments more, double flops = 0) {
      cases.push_back(
          {op, fmt::format("[{}]", n), name, bytes * (inputs + 1), flops, [=, d = dtype](World& w) {
             Arguments out;
             for (int i = 0; i < inputs; ++i) out.push_back(w.tensor({n}, d));
             out.insert(out.end(), more.begin(), more.end());
             out.push_back(w.tensor({n}, d));
             return out;
           }});
    };
    flat("add", 2, {absent});
    flat("mul", 2, {});
    const Shape matrix{rows, columns};
    for (const auto& [op, shape, dim] :
         {std::tuple{"cumsum", Shape{n}, 0}, std::tuple{"cumsum", matrix, 1},
          std::tuple{"cumsum", matrix, 0}})
      cases.push_back({op, fmt::format("{} dim {}", shape_text(shape), dim), name, bytes * 2, 0,
                       [=, d = dtype](World& w) {
                         return Arguments{w.tensor(shape, d), number(dim), w.tensor(shape, d)};
                       }});
    // Values and places. What must be moved is a small part of the work.
    for (const Shape& shape : {Shape{n / 16}, Shape{rows * 16, columns / 256}})
      cases.push_back({"sort", shape_text(shape), name,
                       bytes / 16 * 2 + static_cast<double>(n) / 16 * 8, 0,
                       [=, d = dtype](World& w) {
                         return Arguments{w.random_tensor(shape, d), number(-1), number(0),
                                          w.tensor(shape, d), w.tensor(shape, FLAGOS_DTYPE_INT64)};
                       }});
    if (dtype == FLAGOS_DTYPE_INT64) continue;
    flat("exp", 1, {});
    flat("silu", 1, {});
    flat("gelu", 1, {absent});
    flat("silu_and_mul", 2, {});
    cases.push_back({"add", shape_text(matrix) + " + " + std::to_string(columns), name, bytes * 2,
                     0, [=, d = dtype](World& w) {
                       return Arguments{w.tensor(matrix, d), w.tensor({columns}, d), absent,
                                        w.tensor(matrix, d)};
                     }});
    cases.push_back(
        {"copy", shape_text(matrix) + " transposed", name, bytes * 2, 0, [=, d = dtype](World& w) {
           return Arguments{w.tensor(matrix, d, {1, rows}), w.tensor(matrix, d)};
         }});
    cases.push_back({"softmax", shape_text(matrix), name, bytes * 2, 0, [=, d = dtype](World& w) {
                       return Arguments{w.tensor(matrix, d), number(-1), w.tensor(matrix, d)};
                     }});
    static constexpr std::int64_t axes[] = {0, 1}, row_shape[] = {columns};
    cases.push_back({"sum", fmt::format("[{}]", n), name, bytes, 0, [=, d = dtype](World& w) {
                       return Arguments{w.tensor({n}, d), absent, number(0), w.tensor({}, d)};
                     }});
    for (const std::int64_t& axis : axes)
      cases.push_back({"sum", fmt::format("{} dim {}", shape_text(matrix), axis), name, bytes, 0,
                       [=, d = dtype, &axis](World& w) {
                         return Arguments{w.tensor(matrix, d),
                                          {reinterpret_cast<std::uintptr_t>(&axis), 1, 0},
                                          number(0),
                                          w.tensor({axis == 0 ? columns : rows}, d)};
                       }});
    cases.push_back(
        {"layer_norm", shape_text(matrix), name, bytes * 2, 0, [=, d = dtype](World& w) {
           return Arguments{w.tensor(matrix, d),
                            {reinterpret_cast<std::uintptr_t>(row_shape), 1, 0},
                            w.tensor({columns}, d),
                            w.tensor({columns}, d),
                            {std::bit_cast<std::uint64_t>(1e-5), 0, 0},
                            w.tensor(matrix, d)};
         }});
    cases.push_back({"rms_norm", shape_text(matrix), name, bytes * 2, 0, [=, d = dtype](World& w) {
                       return Arguments{w.tensor(matrix, d),
                                        {reinterpret_cast<std::uintptr_t>(row_shape), 1, 0},
                                        w.tensor({columns}, d),
                                        {std::bit_cast<std::uint64_t>(1e-6), 0, 0},
                                        w.tensor(matrix, d)};
                     }});
    cases.push_back({"logcumsumexp", shape_text(matrix) + " dim 1", name, bytes * 2, 0,
                     [=, d = dtype](World& w) {
                       return Arguments{w.random_tensor(matrix, d), number(1), w.tensor(matrix, d)};
                     }});
    cases.push_back(
        {"conv2d", "64x56x56 by 64x3x3", name, static_cast<double>(2 * 64 * 56 * 56 * size),
         2.0 * 64 * 64 * 9 * 56 * 56, [=, d = dtype](World& w) {
           static const std::int64_t one[] = {1};
           const flagos_ops_argument_t ones{reinterpret_cast<std::uintptr_t>(one), 1, 0};
           return Arguments{w.tensor({1, 64, 56, 56}, d),
                            w.tensor({64, 64, 3, 3}, d),
                            absent,
                            absent,
                            ones,
                            absent,
                            number(1),
                            w.tensor({1, 64, 56, 56}, d)};
         }});
    const std::int64_t heads = is_host ? 4 : 32, length = is_host ? 512 : 2048, width = 64;
    const Shape sequence{1, heads, length, width};
    cases.push_back({"scaled_dot_product_attention", shape_text(sequence), name,
                     static_cast<double>(4 * heads * length * width * size),
                     4.0 * static_cast<double>(heads * length * length * width),
                     [=, d = dtype](World& w) {
                       return Arguments{w.random_tensor(sequence, d),
                                        w.random_tensor(sequence, d),
                                        w.random_tensor(sequence, d),
                                        absent,
                                        number(0),
                                        number(0),
                                        absent,
                                        number(0),
                                        w.tensor(sequence, d)};
                     }});
    for (const std::int64_t m : products)
      cases.push_back(
          {"mm", fmt::format("{0}x{0}x{0}", m), name, static_cast<double>(3 * m * m * size),
           2.0 * static_cast<double>(m * m * m), [=, d = dtype](World& w) {
             return Arguments{w.tensor({m, m}, d), w.tensor({m, m}, d), w.tensor({m, m}, d)};
           }});
  }
  return cases;
}

// Seconds of one call, the best of several rounds; each round queues calls for a while and waits for them.
double measure(const std::function<void()>& call, const std::function<void()>& wait,
               double seconds) {
  using Clock = std::chrono::steady_clock;
  call();
  wait();
  std::int64_t count = 1;
  double best = 1e30, spent = 0;
  while (spent < seconds) {
    const auto start = Clock::now();
    for (std::int64_t i = 0; i < count; ++i) call();
    wait();
    const double took = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::min(best, took / static_cast<double>(count));
    spent += took;
    if (took < seconds / 10) count *= 2;
  }
  return best;
}

// What a copy in the device's memory reaches: it reads and writes.
double measure_copy(World& world, std::int64_t mebibytes, double seconds) {
  const std::int64_t count = mebibytes << 18;
  const auto address = [](const flagos_ops_argument_t& tensor) {
    return reinterpret_cast<const flagos_tensor_t*>(static_cast<std::uintptr_t>(tensor.value))
        ->address;
  };
  const flagos_address_t source = address(world.tensor({count}, FLAGOS_DTYPE_FLOAT32)),
                         target = address(world.tensor({count}, FLAGOS_DTYPE_FLOAT32));
  const auto bytes = static_cast<std::uint64_t>(count) * 4;
  const double took = measure(
      [&] {
        must(flagos_memory_copy(world.stream(), target, source, bytes), "flagos_memory_copy");
      },
      [&] { world.wait(); }, seconds);
  world.clear();
  return 2 * static_cast<double>(bytes) / took;
}

bool call_works(World& world, std::uint32_t index, const Arguments& arguments,
                std::string& out_reason) {
  if (flagos_ops_call(world.stream(), index, arguments.data(),
                      static_cast<std::uint32_t>(arguments.size())) == FLAGOS_STATUS_OK)
    return true;
  out_reason = flagos_last_error();
  return false;
}

// A call on one element, and a call that is waited for: what a small tensor costs.
nlohmann::json measure_small(World& world, double seconds) {
  const flagos_ops_argument_t x = world.tensor({1}, FLAGOS_DTYPE_FLOAT32),
                              y = world.tensor({1}, FLAGOS_DTYPE_FLOAT32);
  const auto* const a =
      reinterpret_cast<const flagos_tensor_t*>(static_cast<std::uintptr_t>(x.value));
  const auto* const b =
      reinterpret_cast<const flagos_tensor_t*>(static_cast<std::uintptr_t>(y.value));
  const auto call = [&] { must(flagos_ops_mul(world.stream(), a, b, b), "flagos_ops_mul"); };
  const double queued = measure(
      call, [&] { world.wait(); }, seconds);
  const double waited = measure(
      [&] {
        call();
        world.wait();
      },
      [] {}, seconds);
  world.clear();
  return {{"op", "mul"}, {"call_ns", queued * 1e9}, {"call_and_wait_ns", waited * 1e9}};
}

int run(int argc, char** argv) {
  cxxopts::Options options(
      "flagos bench ops",
      "Measures operators against the ceilings of the device's memory and arithmetic.");
  options.add_options()("device", "id of the device",
                        cxxopts::value<std::string>()->default_value("cpu"))(
      "only", "operators whose name holds this", cxxopts::value<std::string>()->default_value(""))(
      "mib", "size of the largest tensor of a bandwidth-bound case",
      cxxopts::value<std::int64_t>()->default_value("64"))(
      "seconds", "time for each case", cxxopts::value<double>()->default_value("0.5"))(
      "json", "write figures to this file", cxxopts::value<std::string>())(
      "html", "write a page with charts to this file", cxxopts::value<std::string>())(
      "h,help", "print this and end");
  const auto parsed = options.parse(argc, argv);
  if (parsed.count("help") != 0) {
    std::cout << options.help();
    return 0;
  }
  // Before anything is measured: what cannot be written is said at once.
  const auto open = [&](const char* option) {
    std::ofstream out;
    if (parsed.count(option) == 0) return out;
    const auto path = parsed[option].as<std::string>();
    out.open(path);
    if (!out)
      throw std::runtime_error(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
    return out;
  };
  std::ofstream json = open("json"), html = open("html");
  if (!(parsed["seconds"].as<double>() > 0) || parsed["mib"].as<std::int64_t>() < 1)
    throw std::runtime_error("--seconds must be above 0, and --mib at least 1");
  World world(parsed["device"].as<std::string>());
  const double seconds = parsed["seconds"].as<double>();
  const std::int64_t mebibytes = parsed["mib"].as<std::int64_t>();
  Ceiling ceiling;
  if (world.is_host())
    ceiling = measure_ceiling(world.info().compute_units);
  else
    ceiling.bytes_per_second = measure_copy(world, mebibytes, seconds);
  nlohmann::json report{
      {"device", world.info().name},
      {"id", world.info().id},
      {"ceiling", {{"bytes_per_second", ceiling.bytes_per_second}, {"flops", ceiling.flops}}},
      {"small", measure_small(world, seconds)},
      {"cases", nlohmann::json::array()}};
  fmt::print(
      "{} ({}): {:.1f} GB/s, {:.0f} GFLOP/s in float32; one element: {:.0f} ns a call, {:.0f} ns "
      "with the wait\n",
      world.info().id, world.info().name, ceiling.bytes_per_second / 1e9, ceiling.flops / 1e9,
      report["small"]["call_ns"].get<double>(), report["small"]["call_and_wait_ns"].get<double>());
  for (const Case& c : all_cases(mebibytes, world.is_host())) {
    if (std::string(c.op).find(parsed["only"].as<std::string>()) == std::string::npos) continue;
    std::uint32_t index = 0;
    if (flagos_ops_find(c.op, &index) != FLAGOS_STATUS_OK) continue;
    const Arguments arguments = c.make(world);
    std::string reason;
    if (!call_works(world, index, arguments, reason)) {
      fmt::print("{:<14} {:<10} {:<28} not run: {}\n", c.op, c.dtype, c.label, reason);
      world.clear();
      continue;
    }
    const auto timed = [&] {
      return measure([&] { call_works(world, index, arguments, reason); }, [&] { world.wait(); },
                     seconds);
    };
    const double took = timed();
    // The portable kernel beside the device's own version.
    double portable = 0;
    if (world.has_native(index)) {
      must(flagos_ops_set_preference(c.op, FLAGOS_OPS_PREFERENCE_PORTABLE), "portable");
      portable = timed();
      must(flagos_ops_set_preference(c.op, FLAGOS_OPS_PREFERENCE_NATIVE), "native");
    }
    world.clear();
    const bool by_flops = c.flops != 0;
    const double rate = (by_flops ? c.flops : c.bytes) / took;
    const double most = by_flops ? ceiling.flops : ceiling.bytes_per_second;
    report["cases"].push_back({{"op", c.op},
                               {"dtype", c.dtype},
                               {"shape", c.label},
                               {"seconds", took},
                               {by_flops ? "flops" : "bytes_per_second", rate},
                               {"fraction", most > 0 ? rate / most : 0.0}});
    if (portable != 0) report["cases"].back()["portable_seconds"] = portable;
    fmt::print("{:<14} {:<10} {:<28} {:>9.1f} us {:>8.1f} {:<8}", c.op, c.dtype, c.label,
               took * 1e6, rate / 1e9, by_flops ? "GFLOP/s" : "GB/s");
    if (most > 0) fmt::print(" {:>5.2f} of the ceiling", rate / most);
    if (portable != 0)
      fmt::print("; portable {:>9.1f} us, {:.2f} of the speed", portable * 1e6, took / portable);
    fmt::print("\n");
    std::fflush(stdout);
  }
  if (report["cases"].empty())
    throw std::runtime_error(fmt::format("no case was run: there is none whose operator holds '{}'",
                                         parsed["only"].as<std::string>()));
  if (json.is_open()) json << report.dump(2) << "\n";
  if (html.is_open()) html << ops_page(report);
  json.close();
  html.close();
  if (json.fail() && parsed.count("json") != 0)
    throw std::runtime_error("cannot write " + parsed["json"].as<std::string>());
  if (html.fail() && parsed.count("html") != 0)
    throw std::runtime_error("cannot write " + parsed["html"].as<std::string>());
  return 0;
}

}  // namespace
}  // namespace flagos::bench

int main(int argc, char** argv) try {
  return flagos::bench::run(argc, argv);
} catch (const std::exception& error) {
  std::cerr << "flagos bench ops: " << error.what() << "\n";
  return 1;
}
