#include "comm/transport/ucx.hpp"

#include <filesystem>

#include "base/dynamic_library.hpp"
#include "base/error.hpp"
#include "base/guard.hpp"
#include "comm/bootstrap/secret.hpp"
#include "comm/create.hpp"

#if FLAGOS_COMM_HAS_UCX

#include <sys/eventfd.h>
#include <ucp/api/ucp.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

namespace flagos::comm {
namespace {

constexpr unsigned message_id = 0;
constexpr std::uint64_t most_bytes = Segment::slot_bytes;

// The functions of the library that are used. It stays open: it leaves threads' keys and hooks behind.
struct Library {
  DynamicLibrary file{"libucp.so.0"};
  decltype(&ucp_config_read) config_read{};
  decltype(&ucp_config_modify) config_modify{};
  decltype(&ucp_config_release) config_release{};
  decltype(&ucp_init_version) init_version{};
  decltype(&ucp_cleanup) cleanup{};
  decltype(&ucp_worker_create) worker_create{};
  decltype(&ucp_worker_destroy) worker_destroy{};
  decltype(&ucp_worker_get_address) worker_get_address{};
  decltype(&ucp_worker_release_address) worker_release_address{};
  decltype(&ucp_worker_progress) worker_progress{};
  decltype(&ucp_worker_get_efd) worker_get_efd{};
  decltype(&ucp_worker_arm) worker_arm{};
  decltype(&ucp_worker_set_am_recv_handler) worker_set_am_recv_handler{};
  decltype(&ucp_ep_create) ep_create{};
  decltype(&ucp_ep_close_nbx) ep_close_nbx{};
  decltype(&ucp_am_send_nbx) am_send_nbx{};
  decltype(&ucp_am_recv_data_nbx) am_recv_data_nbx{};
  decltype(&ucp_request_check_status) request_check_status{};
  decltype(&ucp_request_free) request_free{};
  decltype(&ucs_status_string) status_string{};

  Library() {
    file.take("ucp_config_read", config_read);
    file.take("ucp_config_modify", config_modify);
    file.take("ucp_config_release", config_release);
    file.take("ucp_init_version", init_version);
    file.take("ucp_cleanup", cleanup);
    file.take("ucp_worker_create", worker_create);
    file.take("ucp_worker_destroy", worker_destroy);
    file.take("ucp_worker_get_address", worker_get_address);
    file.take("ucp_worker_release_address", worker_release_address);
    file.take("ucp_worker_progress", worker_progress);
    file.take("ucp_worker_get_efd", worker_get_efd);
    file.take("ucp_worker_arm", worker_arm);
    file.take("ucp_worker_set_am_recv_handler", worker_set_am_recv_handler);
    file.take("ucp_ep_create", ep_create);
    file.take("ucp_ep_close_nbx", ep_close_nbx);
    file.take("ucp_am_send_nbx", am_send_nbx);
    file.take("ucp_am_recv_data_nbx", am_recv_data_nbx);
    file.take("ucp_request_check_status", request_check_status);
    file.take("ucp_request_free", request_free);
    file.take("ucs_status_string", status_string);
    keep_quiet();
  }

  static const Library& get() {
    static const Library* const library = new Library;
    return *library;
  }
  void check(ucs_status_t status, const char* what) const {
    if (status != UCS_OK)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "UCX: {}: {}", what, status_string(status));
  }

 private:
  // Signals are the program's, and errors are told by statuses.
  void keep_quiet() const {
    if (file.has("ucs_debug_disable_signals")) {
      void (*disable)() = nullptr;
      file.take("ucs_debug_disable_signals", disable);
      disable();
    }
    if (secure_getenv("UCX_LOG_LEVEL") == nullptr && file.has("ucs_global_opts_set_value")) {
      ucs_status_t (*set_value)(const char*, const char*) = nullptr;
      file.take("ucs_global_opts_set_value", set_value);
      set_value("LOG_LEVEL", "fatal");
    }
  }
};

// Written before each message.
struct Head {
  std::uint64_t token = 0;
  std::uint32_t index = 0;   // of the link, at the peer
  std::uint32_t number = 0;  // of the message, from 1; of a credit: how many entries were consumed
  std::uint32_t is_credit = 0;
  std::uint32_t padding = 0;
  Header header;
};
static_assert(sizeof(Head) == 72);

struct Outgoing {
  Head head;  // UCX reads it until the message is sent
  ucs_status_ptr_t request = nullptr;
  bool is_sent = false;
  bool ends_entry = false;
};
struct Incoming {
  ucs_status_ptr_t request = nullptr;
  bool has_arrived = false;
};

}  // namespace

bool has_ucx(std::string& out_why) {
#if defined(__SANITIZE_THREAD__)
  out_why = "libucp.so.0 cannot be loaded under the thread sanitizer";
  return false;
#endif
  return guard([] { Library::get(); },
               [&](flagos_status_t, const char* text) {
                 out_why = fmt::format("libucp.so.0: {}", text);
               }) == FLAGOS_STATUS_OK;
}

// ---- worker ------------------------------------------------------------------------------------------------------

struct UcxWorker::State {
  const Library& library = Library::get();
  ucp_context_h context = nullptr;
  ucp_worker_h worker = nullptr;
  ucp_address_t* address = nullptr;
  std::size_t address_bytes = 0;
  int descriptor = -1;
  std::vector<UcxLink::State*> links;

  ~State() {
    if (address != nullptr) library.worker_release_address(worker, address);
    if (worker != nullptr) library.worker_destroy(worker);
    if (context != nullptr) library.cleanup(context);
  }
  static ucs_status_t take(void* self, const void* header, std::size_t header_bytes, void* data,
                           std::size_t bytes, const ucp_am_recv_param_t* param);
};

struct UcxLink::State {
  UcxWorker::State& worker;
  std::shared_ptr<Segment> own, stand_in;
  Ring* out = nullptr;
  Ring* in = nullptr;

  explicit State(UcxWorker::State& shared) : worker(shared) {}
  Label label{};  // of this end
  Label peer{};
  ucp_ep_h endpoint = nullptr;
  std::string why;  // it cannot be used any more

  std::uint32_t entry = 0;           // of `out`: those that were handed to UCX
  std::uint32_t done_entries = 0;    // those that UCX does not read any more
  std::uint64_t entry_sent = 0;      // bytes of the next entry that were
  std::uint32_t sent = 0, done = 0;  // messages
  std::uint32_t credited = 0;        // messages that the peer has consumed
  std::array<Outgoing, Ring::entry_count> outgoing;
  std::uint32_t arrived = 0;   // messages that are entries of `in`
  std::uint32_t returned = 0;  // consumed ones of which the peer was told
  std::array<Incoming, Ring::entry_count> incoming;
  Head credit;
  ucs_status_ptr_t credit_request = nullptr;

  void lose(const std::string& text) {
    if (why.empty()) why = text;
  }
  bool is_finished(ucs_status_ptr_t& request);
  ucs_status_ptr_t send(const Head& head, const void* data, std::uint64_t bytes);
  bool send_entries();
  bool finish_sends();
  bool finish_receives();
  bool return_credit();
  std::byte* place(std::uint32_t number, std::uint64_t bytes) {
    return bytes <= inside_bytes ? in->entries[(number - 1) % Ring::entry_count].data.data()
                                 : stand_in->slot((number - 1) % Ring::entry_count);
  }
  ucs_status_t take(const Head& head, void* data, std::size_t bytes, bool is_rendezvous);
};

UcxWorker::UcxWorker() : state_(std::make_unique<State>()) {
  const Library& library = state_->library;
  ucp_config_t* config = nullptr;
  library.check(library.config_read(nullptr, nullptr, &config), "ucp_config_read");
  // Only the interface that was chosen, and loopback when none was.
  const std::string interface = configured_interface();
  if (secure_getenv("UCX_NET_DEVICES") == nullptr && !has_fabric())
    library.config_modify(config, "NET_DEVICES", interface.empty() ? "lo" : interface.c_str());
  library.config_modify(config, "MEMTYPE_CACHE", "n");
  ucp_params_t params{};
  params.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_NAME;
  params.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
  params.name = "flagos";
  const ucs_status_t made =
      library.init_version(UCP_API_MAJOR, UCP_API_MINOR, &params, config, &state_->context);
  library.config_release(config);
  library.check(made, "ucp_init");
  ucp_worker_params_t worker{};
  worker.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
  worker.thread_mode = UCS_THREAD_MODE_SERIALIZED;  // made here, used by the transport's thread
  library.check(library.worker_create(state_->context, &worker, &state_->worker),
                "ucp_worker_create");
  library.check(
      library.worker_get_address(state_->worker, &state_->address, &state_->address_bytes),
      "ucp_worker_get_address");
  library.check(library.worker_get_efd(state_->worker, &state_->descriptor), "ucp_worker_get_efd");
  ucp_am_handler_param_t handler{};
  handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB |
                       UCP_AM_HANDLER_PARAM_FIELD_ARG;
  handler.id = message_id;
  handler.cb = State::take;
  handler.arg = state_.get();
  library.check(library.worker_set_am_recv_handler(state_->worker, &handler),
                "ucp_worker_set_am_recv_handler");
}

UcxWorker::~UcxWorker() = default;

std::span<const std::byte> UcxWorker::address() const {
  return {reinterpret_cast<const std::byte*>(state_->address), state_->address_bytes};
}

bool UcxWorker::progress() { return state_->library.worker_progress(state_->worker) != 0; }

int UcxWorker::descriptor() const { return state_->descriptor; }

bool UcxWorker::may_sleep() { return state_->library.worker_arm(state_->worker) == UCS_OK; }

ucs_status_t UcxWorker::State::take(void* self, const void* header, std::size_t header_bytes,
                                    void* data, std::size_t bytes,
                                    const ucp_am_recv_param_t* param) {
  const auto& links = static_cast<State*>(self)->links;
  Head head;
  if (header_bytes != sizeof(head)) return UCS_OK;
  std::memcpy(static_cast<void*>(&head), header, sizeof(head));
  if (head.index >= links.size() || links[head.index] == nullptr ||
      links[head.index]->label.token != head.token)
    return UCS_OK;  // a stranger's, or of a link that has gone
  return links[head.index]->take(head, data, bytes,
                                 (param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) != 0);
}

// ---- links -------------------------------------------------------------------------------------------------------

UcxLink::UcxLink(UcxWorker& worker, std::shared_ptr<Segment> own, Ring& out,
                 std::shared_ptr<Segment> stand_in, Ring& in)
    : state_(std::make_unique<State>(*worker.state_)) {
  state_->own = std::move(own);
  state_->stand_in = std::move(stand_in);
  state_->out = &out;
  state_->in = &in;
  random_bytes(&state_->label.token, sizeof(state_->label.token));
  state_->label.index = static_cast<std::uint32_t>(worker.state_->links.size());
  worker.state_->links.push_back(state_.get());
}

UcxLink::~UcxLink() {
  close();
  state_->worker.links[state_->label.index] = nullptr;
}

UcxLink::Label UcxLink::label() const { return state_->label; }
bool UcxLink::is_connected() const { return state_->endpoint != nullptr; }

void UcxLink::connect(std::span<const std::byte> address, const Label& label) {
  State& state = *state_;
  state.peer = label;
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                      UCP_EP_PARAM_FIELD_ERR_HANDLER;
  params.address = reinterpret_cast<const ucp_address_t*>(address.data());
  params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
  params.err_handler.cb = [](void* self, ucp_ep_h, ucs_status_t status) {
    auto& lost = *static_cast<State*>(self);
    lost.lose(fmt::format("UCX: {}", lost.worker.library.status_string(status)));
  };
  params.err_handler.arg = &state;
  const ucs_status_t made =
      state.worker.library.ep_create(state.worker.worker, &params, &state.endpoint);
  if (made != UCS_OK)
    state.lose(fmt::format("UCX: ucp_ep_create: {}", state.worker.library.status_string(made)));
}

bool UcxLink::State::is_finished(ucs_status_ptr_t& request) {
  if (request == nullptr) return true;
  const ucs_status_t status = worker.library.request_check_status(request);
  if (status == UCS_INPROGRESS) return false;
  worker.library.request_free(std::exchange(request, nullptr));
  if (status != UCS_OK) lose(fmt::format("UCX: {}", worker.library.status_string(status)));
  return true;
}

ucs_status_ptr_t UcxLink::State::send(const Head& head, const void* data, std::uint64_t bytes) {
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_MEMORY_TYPE;
  param.memory_type = UCS_MEMORY_TYPE_HOST;
  const ucs_status_ptr_t request =
      worker.library.am_send_nbx(endpoint, message_id, &head, sizeof(head), data, bytes, &param);
  if (!UCS_PTR_IS_ERR(request)) return request;
  lose(fmt::format("UCX: {}", worker.library.status_string(UCS_PTR_STATUS(request))));
  return nullptr;
}

bool UcxLink::State::send_entries() {
  bool moved = false;
  while (why.empty() && sent - credited < Ring::entry_count && sent - done < Ring::entry_count) {
    const Entry& next = out->entries[entry % Ring::entry_count];
    if (next.stamp.load(std::memory_order_acquire) != entry + 1) break;
    const std::byte* data = next.data.data();
    if (next.place == Place::slot) data = own->at(next.where, next.bytes);
    if (next.place == Place::pointer)
      data = reinterpret_cast<const std::byte*>(static_cast<std::uintptr_t>(next.where));
    const std::uint64_t bytes = std::min(next.bytes - entry_sent, most_bytes);
    Outgoing& message = outgoing[sent % Ring::entry_count];
    message.head = Head{peer.token, peer.index, ++sent, 0, 0, next.header};
    message.ends_entry = entry_sent + bytes == next.bytes;
    message.is_sent = false;
    message.request = send(message.head, data + entry_sent, bytes);
    entry_sent = message.ends_entry ? 0 : entry_sent + bytes;
    if (message.ends_entry) ++entry;
    moved = true;
  }
  return moved;
}

// In order, whatever the order in which they end.
bool UcxLink::State::finish_sends() {
  const std::uint32_t before = done_entries;
  for (; done != sent; ++done) {
    Outgoing& message = outgoing[done % Ring::entry_count];
    if (!is_finished(message.request)) break;
    if (message.ends_entry) ++done_entries;
  }
  if (done_entries == before) return false;
  out->consumed.store(done_entries, std::memory_order_release);
  own->head().bell.ring();
  return true;
}

// A message has come. What its sender may not send ends the link.
ucs_status_t UcxLink::State::take(const Head& head, void* data, std::size_t bytes,
                                  bool is_rendezvous) {
  const std::uint32_t consumed = in->consumed.load(std::memory_order_acquire);
  if (head.is_credit != 0) {
    if (head.number - credited <= sent - credited) credited = head.number;
    return UCS_OK;
  }
  Incoming& message = incoming[(head.number - 1) % Ring::entry_count];
  if (bytes > most_bytes || head.number - 1 - arrived >= Ring::entry_count ||
      head.number - consumed > Ring::entry_count || message.has_arrived ||
      message.request != nullptr) {
    lose(fmt::format("it carries what is no message ({} bytes)", bytes));
    return UCS_OK;
  }
  Entry& target = in->entries[(head.number - 1) % Ring::entry_count];
  std::byte* const bytes_go = place(head.number, bytes);
  target.bytes = bytes;
  target.header = head.header;
  target.place = bytes <= inside_bytes ? Place::inside : Place::slot;
  target.where = bytes <= inside_bytes ? 0 : stand_in->offset_of(bytes_go);
  message.has_arrived = true;
  if (!is_rendezvous) {
    if (bytes != 0) std::memcpy(bytes_go, data, bytes);
    return UCS_OK;
  }
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_MEMORY_TYPE;
  param.memory_type = UCS_MEMORY_TYPE_HOST;
  const ucs_status_ptr_t request =
      worker.library.am_recv_data_nbx(worker.worker, data, bytes_go, bytes, &param);
  if (UCS_PTR_IS_ERR(request)) {
    lose(fmt::format("UCX: {}", worker.library.status_string(UCS_PTR_STATUS(request))));
    return UCS_OK;
  }
  message.request = request;
  return UCS_INPROGRESS;
}

bool UcxLink::State::finish_receives() {
  bool moved = false;
  while (why.empty()) {
    Incoming& message = incoming[arrived % Ring::entry_count];
    if (!message.has_arrived || !is_finished(message.request) || !why.empty()) break;
    message.has_arrived = false;
    Entry& target = in->entries[arrived % Ring::entry_count];
    target.stamp.store(++arrived, std::memory_order_release);
    moved = true;
  }
  if (moved) own->head().bell.ring();
  return moved;
}

bool UcxLink::State::return_credit() {
  const std::uint32_t consumed = in->consumed.load(std::memory_order_acquire);
  if (consumed == returned || !is_finished(credit_request) || !why.empty()) return false;
  credit = Head{peer.token, peer.index, consumed, 1, 0, {}};
  returned = consumed;
  credit_request = send(credit, nullptr, 0);
  return true;
}

bool UcxLink::pump(std::string& out_why) {
  State& state = *state_;
  bool moved = state.finish_receives();
  if (state.endpoint != nullptr) {
    moved |= state.return_credit();
    moved |= state.send_entries();
    moved |= state.finish_sends();
  }
  out_why = state.why;
  return moved;
}

bool UcxLink::has_work() const {
  const State& state = *state_;
  if (state.endpoint == nullptr) return false;
  const bool has_room = state.sent - state.credited < Ring::entry_count &&
                        state.sent - state.done < Ring::entry_count;
  const bool has_entry = state.out->entries[state.entry % Ring::entry_count].stamp.load(
                             std::memory_order_acquire) == state.entry + 1;
  return (has_room && has_entry) ||
         state.in->consumed.load(std::memory_order_acquire) != state.returned;
}

bool UcxLink::is_flushed() const {
  const State& state = *state_;
  return state.credited == state.sent && !has_work();
}

void UcxLink::close() {
  State& state = *state_;
  if (state.endpoint == nullptr) return;
  const Library& library = state.worker.library;
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
  param.flags = UCP_EP_CLOSE_FLAG_FORCE;
  ucs_status_ptr_t closing = library.ep_close_nbx(std::exchange(state.endpoint, nullptr), &param);
  if (UCS_PTR_IS_ERR(closing)) closing = nullptr;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  const auto is_over = [&] {
    bool all = state.is_finished(closing) && state.is_finished(state.credit_request);
    for (Outgoing& message : state.outgoing) all &= state.is_finished(message.request);
    for (Incoming& message : state.incoming) all &= state.is_finished(message.request);
    return all;
  };
  while (!is_over() && std::chrono::steady_clock::now() < end)
    library.worker_progress(state.worker.worker);
}

#else  // built without UCX's headers

namespace flagos::comm {

bool has_ucx(std::string& out_why) {
  out_why = "this library was built without the headers of UCX";
  return false;
}

struct UcxWorker::State {};
struct UcxLink::State {};
UcxWorker::UcxWorker() { throw_error(FLAGOS_STATUS_UNSUPPORTED, "there is no UCX"); }
UcxWorker::~UcxWorker() = default;
std::span<const std::byte> UcxWorker::address() const { return {}; }
bool UcxWorker::progress() { return false; }
int UcxWorker::descriptor() const { return -1; }
bool UcxWorker::may_sleep() { return true; }
UcxLink::UcxLink(UcxWorker&, std::shared_ptr<Segment>, Ring&, std::shared_ptr<Segment>, Ring&) {}
UcxLink::~UcxLink() = default;
UcxLink::Label UcxLink::label() const { return {}; }
bool UcxLink::is_connected() const { return false; }
void UcxLink::connect(std::span<const std::byte>, const Label&) {}
bool UcxLink::pump(std::string&) { return false; }
bool UcxLink::has_work() const { return false; }
bool UcxLink::is_flushed() const { return true; }
void UcxLink::close() {}

#endif

bool has_fabric() {
  std::error_code code;
  const std::filesystem::directory_iterator devices("/sys/class/infiniband", code);
  return !code && devices != std::filesystem::directory_iterator();
}

}  // namespace flagos::comm
