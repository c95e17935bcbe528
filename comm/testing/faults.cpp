#include "comm/testing/faults.hpp"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <thread>

#include "comm/segment.hpp"

namespace flagos::comm::testing {
namespace {

// Where the memory that this rank shares is mapped: the first one, which it made itself.
std::byte* own_segment() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (line.find("/memfd:flagos-comm") != std::string::npos) {
      auto* const head = reinterpret_cast<SegmentHead*>(std::strtoull(line.c_str(), nullptr, 16));
      if (head->magic == SegmentHead::magic_value) return reinterpret_cast<std::byte*>(head);
    }
  return nullptr;
}

// Changes a byte of a message's header now and then, for ever; payloads are left, which nobody could check.
void corrupt_for_ever() {
  std::byte* const segment = own_segment();
  if (segment == nullptr) return;
  const std::uint32_t size = reinterpret_cast<SegmentHead*>(segment)->size;
  auto* const rings = reinterpret_cast<Ring*>(segment + 4096);
  std::mt19937_64 random(seed());
  while (true) {
    Ring& ring = rings[random() % (std::size_t{Segment::lanes} * size)];
    Entry& entry = ring.entries[random() % Ring::entry_count];
    constexpr std::size_t first = offsetof(Entry, place), last = offsetof(Entry, data);
    reinterpret_cast<std::byte*>(&entry)[first + random() % (last - first)] =
        static_cast<std::byte>(random());
  }
}

class FaultyRank {
 public:
  FaultyRank(const Fault& fault, RankDevice& device, flagos_comm_t* comm, const Lateness& lateness)
      : fault_(fault), device_(device), comm_(comm), lateness_(lateness), waited_(lateness) {
    flagos_comm_info_t info{};
    info.struct_size = sizeof(info);
    check(flagos_comm_get_info(comm, &info));
    rank_ = info.rank;
    size_ = info.size;
    buffer_ = device.alloc(2 * bytes);
    if (fault.phase == "put") check(flagos_comm_window_create(comm, buffer_, bytes, &window_));
    if (fault.phase == "graph") capture();
  }

  int run() {
    flagos_status_t status = FLAGOS_STATUS_OK;
    for (std::uint64_t round = 0; round < most_rounds && status == FLAGOS_STATUS_OK; ++round) {
      if (rank_ == fault_.victim && round == rounds_before) act();
      waited_.restart();
      status = step();
    }
    const std::uint64_t ms = waited_.ms(), late = waited_.late_ms();
    std::string text = flagos_last_error();
    flagos_status_t found = FLAGOS_STATUS_OK;
    if (flagos_comm_query_status(comm_, &found) == FLAGOS_STATUS_OK && found != FLAGOS_STATUS_OK) {
      status = found;
      text = flagos_last_error();
    }
    if (status == FLAGOS_STATUS_OK) {
      std::printf("nothing happened\n");
      return 1;
    }
    std::printf("status=%s ms=%llu late=%llu ", flagos_status_get_name(status),
                static_cast<unsigned long long>(ms), static_cast<unsigned long long>(late));
    if (rank_ != fault_.victim) go_on_without();
    std::printf("text=%s\n", text.c_str());
    return 3;
  }
  ~FaultyRank() {
    flagos_graph_exec_destroy(exec_);
    flagos_memory_free(device_.device(), buffer_);
  }
  FaultyRank(const FaultyRank&) = delete;
  FaultyRank& operator=(const FaultyRank&) = delete;

 private:
  static constexpr std::uint64_t bytes = 4 << 20, count = bytes / 4;
  static constexpr std::uint64_t rounds_before = 3, most_rounds = 100'000;

  void act() const {
    const bool while_running = fault_.action == "corrupt" || fault_.phase == "inside" ||
                               fault_.phase == "split" || fault_.phase == "window";
    while_running ? fault_.happen_soon() : fault_.happen();
  }

  flagos_status_t all_reduce(flagos_comm_t* comm, std::uint64_t elements) {
    return flagos_comm_all_reduce(comm, device_.stream(), buffer_, buffer_, elements,
                                  FLAGOS_DTYPE_FLOAT32, FLAGOS_COMM_REDUCTION_MAX);
  }

  void capture() {
    check(flagos_stream_begin_capture(device_.stream()));
    check(all_reduce(comm_, 50'000));
    flagos_graph_t* graph = nullptr;
    check(flagos_stream_end_capture(device_.stream(), &graph));
    check(flagos_graph_instantiate(graph, &exec_));
    check(flagos_graph_destroy(graph));
  }

  flagos_status_t exchange() {
    const std::uint32_t next = (rank_ + 1) % size_, previous = (rank_ + size_ - 1) % size_;
    check(flagos_comm_group_begin());
    flagos_comm_send(comm_, device_.stream(), buffer_, 50'000, FLAGOS_DTYPE_FLOAT32, next);
    flagos_comm_receive(comm_, device_.stream(), buffer_ + bytes, 50'000, FLAGOS_DTYPE_FLOAT32,
                        previous);
    return flagos_comm_group_end();
  }

  flagos_status_t put() {
    const std::uint32_t next = (rank_ + 1) % size_, previous = (rank_ + size_ - 1) % size_;
    flagos_status_t status =
        flagos_comm_put(comm_, device_.stream(), window_, next, 0, buffer_ + bytes, 300'000);
    if (status == FLAGOS_STATUS_OK) status = flagos_comm_signal(comm_, device_.stream(), next);
    return status != FLAGOS_STATUS_OK
               ? status
               : flagos_comm_wait_signal(comm_, device_.stream(), previous, 1);
  }

  flagos_status_t split() {
    flagos_comm_t* part = nullptr;
    const flagos_status_t status = flagos_comm_split(comm_, 0, 0, nullptr, &part);
    flagos_comm_destroy(part);
    return status;
  }

  flagos_status_t window() {
    flagos_comm_window_t made = 0;
    const flagos_status_t status = flagos_comm_window_create(comm_, buffer_, bytes, &made);
    return status != FLAGOS_STATUS_OK ? status : flagos_comm_window_destroy(comm_, made);
  }

  // What the phase says, until its results are there.
  flagos_status_t step() {
    flagos_status_t status = FLAGOS_STATUS_OK;
    if (fault_.phase == "call" || fault_.phase == "joining") status = all_reduce(comm_, 1000);
    if (fault_.phase == "inside") status = all_reduce(comm_, count);
    if (fault_.phase == "queued")
      for (int i = 0; i < 50 && status == FLAGOS_STATUS_OK; ++i) status = all_reduce(comm_, 50'000);
    if (fault_.phase == "group") status = exchange();
    if (fault_.phase == "put") status = put();
    if (fault_.phase == "split") status = split();
    if (fault_.phase == "window") status = window();
    if (fault_.phase == "graph") status = flagos_graph_exec_launch(exec_, device_.stream());
    if (status == FLAGOS_STATUS_OK) status = device_.synchronize();
    if (status == FLAGOS_STATUS_OK && fault_.phase == "graph")
      check(flagos_comm_query_status(comm_, &status));
    return status;
  }

  // The survivors: a new communicator, an operation on it with its result, and its end by an abort while it waits.
  void go_on_without() {
    flagos_comm_config_t config{};
    config.struct_size = sizeof(config);
    config.timeout_ns = 60'000'000'000;
    device_.synchronize();  // what waits there fails a moment later than the communicator
    flagos_stream_reset(device_.stream());
    Span span(lateness_);
    flagos_comm_t* rest = nullptr;
    check(flagos_comm_shrink(comm_, &fault_.victim, 1, &config, &rest));
    const std::vector<float> ones(1000, 1);
    std::vector<std::byte> ones_bytes(4000);
    std::memcpy(ones_bytes.data(), ones.data(), 4000);
    device_.upload(buffer_, ones_bytes);
    check(flagos_comm_all_reduce(rest, device_.stream(), buffer_, buffer_, 1000,
                                 FLAGOS_DTYPE_FLOAT32, FLAGOS_COMM_REDUCTION_SUM));
    check(device_.synchronize());
    std::printf("shrink_ms=%llu shrink_late=%llu ", static_cast<unsigned long long>(span.ms()),
                static_cast<unsigned long long>(span.late_ms()));
    std::vector<float> sums(1000);
    const std::vector<std::byte> found = device_.download(buffer_, 4000);
    std::memcpy(sums.data(), found.data(), 4000);
    std::printf("sum=%s ", sums == std::vector<float>(1000, static_cast<float>(size_ - 1))
                               ? "right"
                               : "wrong");
    abort(rest);
    flagos_comm_destroy(rest);
  }

  void abort(flagos_comm_t* rest) {
    const bool is_aborter = rank_ == (fault_.victim == 0 ? 1 : 0);
    flagos_status_t status = FLAGOS_STATUS_OK;
    // One rank of the two may be done with what came before long before the other is, which says so.
    if (!is_aborter) {
      check(flagos_comm_send(rest, device_.stream(), buffer_, 1, FLAGOS_DTYPE_FLOAT32, 0));
      status = all_reduce(rest, count);
      if (status == FLAGOS_STATUS_OK) status = device_.synchronize();
    } else {
      check(flagos_comm_receive(rest, device_.stream(), buffer_, 1, FLAGOS_DTYPE_FLOAT32, 1));
      check(device_.synchronize());
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      Span span(lateness_);
      check(flagos_comm_abort(rest));
      std::printf("abort_ms=%llu abort_late=%llu ", static_cast<unsigned long long>(span.ms()),
                  static_cast<unsigned long long>(span.late_ms()));
      check(flagos_comm_query_status(rest, &status));
    }
    std::printf("after_abort=%s ", flagos_status_get_name(status));
  }

  const Fault& fault_;
  RankDevice& device_;
  flagos_comm_t* const comm_;
  const Lateness& lateness_;
  Span waited_;
  std::uint32_t rank_ = 0, size_ = 0;
  flagos_address_t buffer_ = 0;
  flagos_comm_window_t window_ = 0;
  flagos_graph_exec_t* exec_ = nullptr;
};

}  // namespace

void Fault::happen() const {
  if (action == "kill") raise(SIGKILL);
  if (action == "stop") raise(SIGSTOP);
  if (action == "corrupt") corrupt_for_ever();
}

void Fault::happen_soon() const {
  std::thread([fault = *this] {
    std::mt19937_64 random(seed());
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    fault.happen();
  }).detach();
}

int run_with_fault(const Fault& fault, RankDevice& device, flagos_comm_t* comm,
                   const Lateness& lateness) {
  return FaultyRank(fault, device, comm, lateness).run();
}

}  // namespace flagos::comm::testing
