#include "comm/group.hpp"

#include "base/error.hpp"

namespace flagos::comm {

Group& Group::get() {
  thread_local Group group;
  return group;
}

void Group::add(const std::shared_ptr<Communicator>& communicator, const Request& request) {
  if (request.kind == Kind::exchange) {
    for (Member& member : members_) {
      if (member.communicator != communicator || member.request.kind != Kind::exchange ||
          member.request.stream != request.stream)
        continue;
      member.request.messages.insert(member.request.messages.end(), request.messages.begin(),
                                     request.messages.end());
      return;
    }
  }
  members_.push_back({communicator, request});
}

void Group::fail(flagos_status_t status, const char* text) {
  if (status_ != FLAGOS_STATUS_OK) return;
  status_ = status;
  text_ = text;
}

void Group::end() {
  if (depth_ == 0)
    throw_error(FLAGOS_STATUS_NOT_PERMITTED,
                "flagos_comm_group_end: no group is open on this thread");
  if (--depth_ != 0) return;
  const std::vector<Member> members = std::exchange(members_, {});
  const flagos_status_t status = std::exchange(status_, FLAGOS_STATUS_OK);
  if (status != FLAGOS_STATUS_OK) throw Error(status, std::exchange(text_, {}));
  for (const Member& member : members) member.communicator->check(member.request);
  for (const Member& member : members) member.communicator->submit(member.request);
}

}  // namespace flagos::comm
