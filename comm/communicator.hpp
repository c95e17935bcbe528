// One rank: its peers, the queue of its operations, and the thread that carries them out when the caller does not.
#pragma once

#include <flagos_comm.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "comm/blame.hpp"
#include "comm/bootstrap/secret.hpp"
#include "comm/bootstrap/socket.hpp"
#include "comm/execution.hpp"
#include "comm/native.hpp"
#include "comm/operation.hpp"
#include "comm/transport/tcp.hpp"

namespace flagos::comm {

struct Config {
  std::uint64_t timeout_ns = 0;
  bool deterministic = false;
  bool non_blocking = false;
};

class Communicator {
 public:
  // A rank that nobody has joined yet.
  Communicator(flagos_device_t* device, std::uint32_t rank, std::uint32_t size,
               const Config& config);
  // Waits for pending operations.
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  std::uint32_t rank() const { return rank_; }
  std::uint32_t size() const { return size_; }
  const Config& config() const { return config_; }
  flagos_device_t* device() const { return device_; }
  std::shared_ptr<Segment> segment() { return segment_; }

  // Joins a rank of this host through the rings of its segment.
  void connect(std::uint32_t rank, std::shared_ptr<Segment> segment);
  // Joins a rank through a network.
  void connect(std::uint32_t rank, Socket socket, std::uint32_t lane);
  // Before those: their messages go by UCX.
  void use(std::unique_ptr<UcxWorker> worker);
  // All are joined: ranks may talk.
  void start();
  // Where the ranks are and what messages between them cost.
  void place(Topology topology);
  // Where all ranks can, operations go to the plugin's own collectives.
  void make_native();
  // Operations may come.
  void open() { is_open_.store(true, std::memory_order_release); }

  // How its ranks find each other again when it has failed.
  struct Reunion {
    Secret secret{};
    std::shared_ptr<Socket> listener;  // of this rank
    std::vector<Address> addresses;    // of all ranks' listeners
  };
  void set_reunion(Reunion reunion) { reunion_ = std::move(reunion); }
  const Reunion& reunion() const { return reunion_; }

  // An operation on memory of the host that no stream waits for; returns when it is done.
  void run_now(Request& request) { wait_now(start_now(request)); }
  struct Started {
    Operation* operation = nullptr;
    std::uint32_t runs = 0;
  };
  Started start_now(Request& request);
  void wait_now(const Started& started);

  // Runs `make`, which joins the others and opens, on a thread; what it throws becomes the status.
  void make_later(std::function<void()> make);

  // Fills in what the caller left out and checks all that one rank can; throws.
  void complete_and_check(Request& request);
  // As complete_and_check, of a request of several messages.
  void check(const Request& request);
  // Queues what was checked.
  void submit(const Request& request);
  // Waits for all operations; then nothing of the communicator is needed any more.
  void finish();
  flagos_status_t synchronize(std::uint64_t timeout_ns);
  // `text` says why.
  void abort(const std::string& text);
  void abort() { abort(fmt::format("rank {} aborted the communicator", rank_)); }
  // OK, or why it failed; the text goes to `out_text`.
  flagos_status_t status(std::string& out_text);
  void fail(flagos_status_t status, const std::string& text);
  void fill_info(flagos_comm_info_t& info);

  // Memory of all ranks that the others reach; all ranks make these calls.
  flagos_comm_window_t create_window(flagos_address_t address, std::uint64_t bytes);
  void destroy_window(flagos_comm_window_t window);

  flagos_comm_reduction_t create_reduction(double scale);
  void destroy_reduction(flagos_comm_reduction_t reduction);

 private:
  static constexpr flagos_comm_reduction_t first_reduction = 256;
  static constexpr std::size_t most_reductions = 64;

  struct List {
    Operation* first = nullptr;
    Operation* last = nullptr;
    void push(Operation& operation);
    void pop();
    void remove(Operation& operation);
  };

  void check_usable();
  void check_not_failed();
  void check_stream(const Request& request);
  void check_memory(Request& request, const Range& source, const Range& target) const;
  void check_reduction(const Request& request);
  void add_operation();
  Operation& free_operation();
  Operation& make_operation(const Request& request, Operation* spare = nullptr);
  void queue(const Request& request);
  void record(const Request& request);
  void queue_native(const Request& request);
  bool takes_clusters(const Request& request);
  void queue_clusters(const Request& request);
  void measure_clusters();
  void queue_part(const Request& request);
  Native* native() const { return native_.load(std::memory_order_acquire); }
  NativeClusters* clusters() const { return clusters_.load(std::memory_order_acquire); }
  // Of all ranks, or of this rank's cluster.
  Native* any_native() const {
    return native() == nullptr && clusters() != nullptr ? clusters()->native.get() : native();
  }
  void check_native();
  Reduction reduction_of(const Request& request, double& out_scale);
  static void stream_arrived(void* user_data, flagos_status_t status);
  static void graph_arrived(void* user_data, flagos_status_t status);
  enum class Here { no, begun, done };
  Here try_here(Operation& operation);
  std::uint64_t patience_here(std::uint64_t call) const;
  bool is_meeting(std::uint64_t call) const { return call % meeting_every_ == 0; }
  bool wait_here(std::uint64_t before, std::uint64_t patience_ns);

  bool may_yield();
  std::uint64_t give_way();

  void work();
  void wait_for_work(std::uint32_t idle_rounds, std::unique_lock<std::mutex>& engine);
  void tell_streams(std::unique_lock<std::mutex>& engine);
  bool step();
  bool begin_next();
  void complete(Operation& operation);
  void answer_questions();
  Answer what_is_awaited();
  bool look_at_peers(bool holds_engine);
  bool adopt_failure(SegmentHead& head, bool holds_engine);
  void look_around();
  void look_for_dead_processes();
  void finish_failure(std::unique_lock<std::mutex>& engine);
  bool is_read_by_others();
  std::string what_runs() const;
  void print_plan(const Operation& operation) const;
  static void print_topology(const Topology& topology);

  const std::uint64_t number_;  // never used again in the process, as addresses are
  flagos_device_t* const device_;
  const std::uint32_t rank_, size_;
  const Config config_;
  std::shared_ptr<Segment> segment_;
  std::vector<Peer> peers_, one_sided_peers_;
  std::uint32_t local_size_ = 1;
  std::unique_ptr<TcpTransport> network_;
  Reunion reunion_;
  std::unique_ptr<Native> native_owner_;
  std::atomic<Native*> native_{nullptr};  // set once, while others may look already
  std::unique_ptr<NativeClusters> clusters_owner_;
  std::atomic<NativeClusters*> clusters_{nullptr};
  std::mutex clusters_mutex_;  // orders operations of several parts
  Request part_;
  Staging staging_, one_sided_staging_;
  OneSided one_sided_;
  Execution execution_;
  Blame blame_;
  flagos_timeline_t* timeline_ = nullptr;
  std::atomic<bool> is_open_{false};
  std::atomic<flagos_stream_t*> known_stream_{nullptr};  // the last one; it is of our device

  std::mutex submit_mutex_;  // orders the calls
  std::uint64_t next_value_ = 0;
  std::atomic<bool> was_native_{false};  // the last call went to the plugin
  Operation* spare_ = nullptr;           // of the last call that finished its operation itself
  std::uint32_t misses_ = 0;  // calls in a row that did not finish their operation themselves
  std::uint64_t meeting_every_ = 16;

  std::mutex queue_mutex_;  // guards the lists and operations_
  List pending_;            // in the order of the calls
  List reached_;            // recorded ones at which a graph has arrived
  Operation* free_ = nullptr;
  std::vector<std::unique_ptr<Operation>> operations_;
  std::condition_variable idle_;
  std::atomic<std::uint64_t> outstanding_{0};  // operations of calls that are not done
  std::atomic<std::uint64_t> completed_{0};
  std::atomic<std::uint64_t> internal_{0};  // of these, not the caller's
  std::atomic<Algorithm> last_algorithm_{Algorithm::automatic};
  std::atomic<std::uint32_t> visitors_{0};  // graphs that wait in here

  std::mutex engine_mutex_;    // held by whoever steps
  bool is_here_ = false;       // the caller steps: its stream need not be told
  Operation* here_ = nullptr;  // what it has brought
  std::uint64_t next_sequence_ = 0, next_internal_ = 0;
  std::uint64_t last_move_ns_ = 0;
  std::uint64_t signal_ = 0;       // of the timeline, for operations that are done
  std::uint32_t slow_yields_ = 0;  // how often to sleep at once, since giving way took long

  std::mutex failure_mutex_;
  std::atomic<flagos_status_t> status_{FLAGOS_STATUS_OK};
  std::string failure_text_;
  std::atomic<bool> failure_finished_{false};

  std::mutex reduction_mutex_;
  std::array<double, most_reductions> scales_{};
  std::array<bool, most_reductions> has_scale_{};

  std::atomic<bool> stop_{false};
  std::thread maker_;
  std::thread thread_;
};

}  // namespace flagos::comm
