// flagos bench comm: time and bandwidth of collectives, as the well-known benchmarks print them, with every result checked.
// The ranks are threads here, or processes that a launcher has started.
#include <flagos_comm.h>

#include <fmt/format.h>
#include <cxxopts.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "bench/bench_device.hpp"
#include "bench/comm/peer.hpp"

namespace flagos::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Bytes = std::vector<unsigned char>;

struct Settings {
  std::string operation = "all_reduce";
  bool is_bfloat16 = false;
  std::uint64_t smallest = 8, largest = 64 << 20, factor = 8;
  std::uint32_t iterations = 0;  // 0: as many as take a good part of a second
  std::uint32_t flags = 0;
  std::string json;
};

struct Row {
  std::uint64_t bytes = 0;
  double mean_us = 0, least_us = 0, bus_gb_per_s = 0;
  std::uint64_t wrong = 0;
  std::string algorithm;  // of rank 0's last operation
};

// Small whole numbers, so that every sum is exact in every type.
float input(std::uint32_t rank, std::uint64_t index) {
  return static_cast<float>((rank * 3 + index) % 7);
}

class Operation {
 public:
  Operation(const Settings& settings, std::uint32_t rank, std::uint32_t size)
      : settings_(settings), rank_(rank), size_(size), width_(settings.is_bfloat16 ? 2 : 4) {}

  std::uint64_t width() const { return width_; }
  // Elements of the source and the target for a message of `count` elements: that of the whole result, as usual.
  std::uint64_t block(std::uint64_t count) const { return count / size_; }
  std::uint64_t used(std::uint64_t count) const {
    return has_blocks() ? block(count) * size_ : count;
  }

  // What a byte counts for on the wires, so that figures can be compared between operations.
  double bus_factor() const {
    const double n = size_;
    if (settings_.operation == "all_reduce") return 2 * (n - 1) / n;
    return has_blocks() ? (n - 1) / n : 1;
  }

  flagos_status_t call(flagos_comm_t* comm, flagos_stream_t* stream, flagos_address_t source,
                       flagos_address_t target, std::uint64_t count) const {
    const flagos_dtype_t dtype =
        settings_.is_bfloat16 ? FLAGOS_DTYPE_BFLOAT16 : FLAGOS_DTYPE_FLOAT32;
    const std::string& name = settings_.operation;
    if (name == "all_reduce")
      return flagos_comm_all_reduce(comm, stream, source, target, count, dtype,
                                    FLAGOS_COMM_REDUCTION_SUM);
    if (name == "reduce_scatter")
      return flagos_comm_reduce_scatter(comm, stream, source, target, block(count), dtype,
                                        FLAGOS_COMM_REDUCTION_SUM);
    if (name == "all_gather")
      return flagos_comm_all_gather(comm, stream, source, target, block(count), dtype);
    if (name == "all_to_all")
      return flagos_comm_all_to_all(comm, stream, source, target, block(count), dtype);
    if (name == "broadcast")
      return flagos_comm_broadcast(comm, stream, rank_ == 0 ? source : target, count, dtype, 0);
    flagos_comm_group_begin();
    flagos_comm_send(comm, stream, source, count, dtype, (rank_ + 1) % size_);
    flagos_comm_receive(comm, stream, target, count, dtype, (rank_ + size_ - 1) % size_);
    return flagos_comm_group_end();
  }

  Bytes source(std::uint64_t count) const {
    Bytes bytes(std::max<std::uint64_t>(count, 1) * width_);
    for (std::uint64_t i = 0; i < count; ++i) put(bytes, i, input(rank_, i));
    return bytes;
  }
  // Elements of the target that are not what they must be.
  std::uint64_t count_wrong(const Bytes& target, std::uint64_t count) const {
    std::uint64_t wrong = 0;
    if (settings_.operation == "broadcast" && rank_ == 0) return 0;
    const std::uint64_t elements =
        settings_.operation == "reduce_scatter" ? block(count) : used(count);
    for (std::uint64_t i = 0; i < elements; ++i) wrong += get(target, i) != expected(count, i);
    return wrong;
  }

 private:
  bool has_blocks() const {
    return settings_.operation == "reduce_scatter" || settings_.operation == "all_gather" ||
           settings_.operation == "all_to_all";
  }
  float sum(std::uint64_t index) const {
    float value = 0;
    for (std::uint32_t rank = 0; rank < size_; ++rank) value += input(rank, index);
    return value;
  }
  float expected(std::uint64_t count, std::uint64_t index) const {
    const std::string& name = settings_.operation;
    const std::uint64_t each = std::max<std::uint64_t>(block(count), 1);
    const auto peer = static_cast<std::uint32_t>(index / each);
    if (name == "all_reduce") return sum(index);
    if (name == "reduce_scatter") return sum(rank_ * each + index);
    if (name == "all_gather") return input(peer, index % each);
    if (name == "all_to_all") return input(peer, rank_ * each + index % each);
    return input(name == "broadcast" ? 0 : (rank_ + size_ - 1) % size_, index);
  }
  void put(Bytes& bytes, std::uint64_t index, float value) const {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    if (settings_.is_bfloat16) bits >>= 16;
    std::memcpy(bytes.data() + index * width_, &bits, width_);
  }
  float get(const Bytes& bytes, std::uint64_t index) const {
    std::uint32_t bits = 0;
    std::memcpy(&bits, bytes.data() + index * width_, width_);
    if (settings_.is_bfloat16) bits <<= 16;
    float value = 0;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }

  const Settings& settings_;
  const std::uint32_t rank_, size_;
  const std::uint64_t width_;
};

struct Rank {
  flagos_device_t* device = nullptr;
  flagos_stream_t* stream = nullptr;
  flagos_comm_t* comm = nullptr;

  Rank(flagos_runtime_t* runtime, const std::string& id) {
    std::uint32_t index = 0;
    must(flagos_device_find(runtime, id.c_str(), &index), "flagos_device_find");
    must(flagos_device_open(runtime, index, &device), "flagos_device_open");
    must(flagos_stream_create(device, nullptr, &stream), "flagos_stream_create");
  }
  void wait() const {
    must(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE), "flagos_stream_synchronize");
  }
  flagos_address_t alloc(std::uint64_t bytes) const {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = bytes;
    flagos_address_t address = 0;
    must(flagos_memory_alloc(device, &desc, &address), "flagos_memory_alloc");
    return address;
  }
  void copy(flagos_address_t target, flagos_address_t source, std::uint64_t bytes) const {
    must(flagos_memory_copy(stream, target, source, bytes), "flagos_memory_copy");
    wait();
  }
  ~Rank() {
    flagos_comm_destroy(comm);
    flagos_stream_destroy(stream);
    flagos_device_close(device);
  }
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;
};

flagos_address_t address_of(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

Row measure_size(const Settings& settings, const Rank& rank, const Operation& operation,
                 std::uint64_t bytes) {
  const std::uint64_t count = operation.used(bytes / operation.width());
  const flagos_address_t source = rank.alloc(bytes + 64), target = rank.alloc(bytes + 64);
  const Bytes input_bytes = operation.source(count);
  rank.copy(source, address_of(input_bytes.data()), input_bytes.size());
  const auto once = [&] {
    must(operation.call(rank.comm, rank.stream, source, target, count), settings.operation.c_str());
    rank.wait();
  };
  const std::uint32_t iterations =
      settings.iterations != 0 ? settings.iterations
                               : static_cast<std::uint32_t>(std::clamp<std::uint64_t>(
                                     (256 << 20) / std::max<std::uint64_t>(bytes, 1), 4, 2000));
  // Small ones as often as the well-known latency benchmarks do.
  for (int i = 0, most = bytes <= 65536 ? 200 : 3; i < most; ++i) once();
  must(flagos_comm_barrier(rank.comm, rank.stream), "flagos_comm_barrier");
  rank.wait();
  Row row;
  row.bytes = bytes;
  row.least_us = 1e18;
  const Clock::time_point start = Clock::now();
  Clock::time_point last = start;
  for (std::uint32_t i = 0; i < iterations; ++i) {
    once();
    const Clock::time_point now = Clock::now();
    row.least_us =
        std::min(row.least_us, std::chrono::duration<double, std::micro>(now - last).count());
    last = now;
  }
  row.mean_us = std::chrono::duration<double, std::micro>(last - start).count() / iterations;
  row.bus_gb_per_s = static_cast<double>(bytes) * operation.bus_factor() / row.mean_us / 1e3;
  Bytes result(bytes + 64);
  rank.copy(address_of(result.data()), target, bytes);
  row.wrong = operation.count_wrong(result, count);
  flagos_comm_info_t info{};
  info.struct_size = sizeof(info);
  must(flagos_comm_get_info(rank.comm, &info), "flagos_comm_get_info");
  row.algorithm = info.algorithm;
  must(flagos_memory_free(rank.device, source), "flagos_memory_free");
  must(flagos_memory_free(rank.device, target), "flagos_memory_free");
  return row;
}

std::vector<Row> measure(const Settings& settings, const Rank& rank,
                         const std::function<void(const Row&)>& report) {
  flagos_comm_info_t info{};
  info.struct_size = sizeof(info);
  must(flagos_comm_get_info(rank.comm, &info), "flagos_comm_get_info");
  const Operation operation(settings, info.rank, info.size);
  std::vector<Row> rows;
  for (std::uint64_t bytes = settings.smallest; bytes <= settings.largest;
       bytes = next_size(bytes, settings.factor, settings.largest)) {
    rows.push_back(measure_size(settings, rank, operation, bytes));
    report(rows.back());
  }
  return rows;
}

void print_row(const Row& row) {
  fmt::print("{:>12} {:>12.2f} {:>12.2f} {:>10.3f} {:>8}  {}\n", row.bytes, row.mean_us,
             row.least_us, row.bus_gb_per_s, row.wrong, row.algorithm);
  std::fflush(stdout);
}

flagos_comm_config_t config_of(const Settings& settings) {
  flagos_comm_config_t config{};
  config.struct_size = sizeof(config);
  config.flags = settings.flags;
  return config;
}

// All ranks as threads of this process. Rows of rank 0; wrong results of all.
std::vector<Row> run_threads(const Settings& settings, flagos_runtime_t* runtime,
                             const std::vector<std::string>& devices, std::uint32_t size) {
  std::vector<std::unique_ptr<Rank>> ranks;
  std::vector<flagos_device_t*> handles;
  for (std::uint32_t i = 0; i < size; ++i) {
    ranks.push_back(std::make_unique<Rank>(runtime, devices[i % devices.size()]));
    handles.push_back(ranks.back()->device);
  }
  std::vector<flagos_comm_t*> comms(size);
  const flagos_comm_config_t config = config_of(settings);
  must(flagos_comm_create_all(size, handles.data(), &config, comms.data()),
       "flagos_comm_create_all");
  for (std::uint32_t i = 0; i < size; ++i) ranks[i]->comm = comms[i];
  std::vector<std::vector<Row>> rows(size);
  std::vector<std::thread> threads;
  for (std::uint32_t i = 1; i < size; ++i)
    threads.emplace_back([&, i] { rows[i] = measure(settings, *ranks[i], [](const Row&) {}); });
  rows[0] = measure(settings, *ranks[0], print_row);
  for (std::thread& thread : threads) thread.join();
  for (std::uint32_t i = 1; i < size; ++i)
    for (std::size_t k = 0; k < rows[0].size(); ++k) rows[0][k].wrong += rows[i][k].wrong;
  return rows[0];
}

// This process is one rank. Others than rank 0 print only what is wrong.
std::vector<Row> run_process(const Settings& settings, flagos_runtime_t* runtime,
                             const std::vector<std::string>& devices, std::uint32_t rank_number) {
  Rank rank(runtime, devices[rank_number % devices.size()]);
  const flagos_comm_config_t config = config_of(settings);
  must(flagos_comm_create_from_environment(rank.device, &config, &rank.comm),
       "flagos_comm_create_from_environment");
  return measure(settings, rank, [&](const Row& row) {
    if (rank_number == 0 || row.wrong != 0) print_row(row);
  });
}

// Which rank of a launcher's this process is, to choose a device before the communicator is there.
std::uint32_t launched_rank() {
  for (const char* name :
       {"FLAGOS_COMM_RANK", "RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"})
    if (const char* const value = std::getenv(name))
      return static_cast<std::uint32_t>(std::strtoul(value, nullptr, 10));
  return 0;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

int run(int argc, char** argv) {
  cxxopts::Options options("flagos bench comm", "Times collectives and checks every result.");
  options.add_options()(
      "n,ranks",
      "ranks, as threads of this process; without it a launcher's ranks (flagos run, mpirun)",
      cxxopts::value<std::uint32_t>(),
      "N")("devices", "of the ranks in turn", cxxopts::value<std::string>()->default_value("cpu"),
           "ID,ID,...")(
      "operation", "all_reduce, reduce_scatter, all_gather, all_to_all, broadcast or send_receive",
      cxxopts::value<std::string>()->default_value("all_reduce"),
      "NAME")("dtype", "float32 or bfloat16",
              cxxopts::value<std::string>()->default_value("float32"), "NAME")(
      "min", "the smallest message", cxxopts::value<std::uint64_t>()->default_value("8"), "BYTES")(
      "max", "the largest message", cxxopts::value<std::uint64_t>()->default_value("67108864"),
      "BYTES")("factor", "from one size to the next; the largest is there in any case",
               cxxopts::value<std::uint64_t>()->default_value("8"), "N")(
      "iterations", "for each size", cxxopts::value<std::uint32_t>()->default_value("0"), "N")(
      "deterministic", "results that do not depend on which rank holds what")(
      "json", "also writes the rows here", cxxopts::value<std::string>()->default_value(""),
      "FILE")("h,help", "this");
  const auto parsed = options.parse(argc, argv);
  if (parsed.count("help") != 0) {
    fmt::print("{}", options.help());
    return 0;
  }
  Settings settings;
  settings.operation = parsed["operation"].as<std::string>();
  const std::vector<std::string> known = {"all_reduce", "reduce_scatter", "all_gather",
                                          "all_to_all", "broadcast",      "send_receive"};
  if (std::find(known.begin(), known.end(), settings.operation) == known.end()) {
    fmt::print(stderr, "flagos bench comm: there is no operation '{}'; there are {}\n",
               settings.operation, fmt::join(known, ", "));
    return 2;
  }
  const std::string dtype = parsed["dtype"].as<std::string>();
  if (dtype != "float32" && dtype != "bfloat16") {
    fmt::print(stderr,
               "flagos bench comm: there is no dtype '{}'; there are float32 and bfloat16\n",
               dtype);
    return 2;
  }
  settings.is_bfloat16 = dtype == "bfloat16";
  settings.smallest = std::max<std::uint64_t>(parsed["min"].as<std::uint64_t>(), 4);
  settings.largest = parsed["max"].as<std::uint64_t>();
  if (settings.largest < settings.smallest) {
    fmt::print(stderr,
               "flagos bench comm: --max {} is below --min {}: there is nothing to measure\n",
               settings.largest, settings.smallest);
    return 2;
  }
  settings.factor = parsed["factor"].as<std::uint64_t>();
  if (settings.factor < 2) {
    fmt::print(stderr,
               "flagos bench comm: --factor {} does not lead from --min to --max: at least 2\n",
               settings.factor);
    return 2;
  }
  settings.iterations = parsed["iterations"].as<std::uint32_t>();
  settings.flags = parsed.count("deterministic") != 0 ? FLAGOS_COMM_FLAG_DETERMINISTIC : 0;
  settings.json = parsed["json"].as<std::string>();
  const char* const own_device = std::getenv("FLAGOS_COMM_DEVICE");
  const bool is_given =
      parsed.count("devices") != 0 || parsed.count("ranks") != 0 || own_device == nullptr;
  const std::vector<std::string> devices =
      split(is_given ? parsed["devices"].as<std::string>() : own_device);
  flagos_runtime_t* runtime = nullptr;
  must(flagos_runtime_create(nullptr, &runtime), "flagos_runtime_create");
  const bool is_threads = parsed.count("ranks") != 0;
  const std::uint32_t number = is_threads ? 0 : launched_rank();
  if (number == 0)
    fmt::print("{:>12} {:>12} {:>12} {:>10} {:>8}  {}\n", "bytes", "mean us", "least us",
               "bus GB/s", "wrong", "algorithm");
  const std::vector<Row> rows =
      is_threads ? run_threads(settings, runtime, devices, parsed["ranks"].as<std::uint32_t>())
                 : run_process(settings, runtime, devices, number);
  must(flagos_runtime_destroy(runtime), "flagos_runtime_destroy");
  std::uint64_t wrong = 0;
  nlohmann::json json = nlohmann::json::array();
  for (const Row& row : rows) {
    wrong += row.wrong;
    json.push_back({{"operation", settings.operation},
                    {"dtype", dtype},
                    {"bytes", row.bytes},
                    {"mean_us", row.mean_us},
                    {"least_us", row.least_us},
                    {"bus_gb_per_s", row.bus_gb_per_s},
                    {"wrong", row.wrong},
                    {"algorithm", row.algorithm}});
  }
  if (!settings.json.empty() && number == 0 &&
      !(std::ofstream(settings.json) << json.dump(2) << '\n')) {
    fmt::print(stderr, "flagos bench comm: '{}' cannot be written\n", settings.json);
    return 1;
  }
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace flagos::bench

int main(int argc, char** argv) {
  try {
    return flagos::bench::run(argc, argv);
  } catch (const cxxopts::exceptions::exception& error) {
    fmt::print(stderr, "flagos bench comm: {}\n", error.what());
    return 2;
  }
}
