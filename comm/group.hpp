// Operations of a thread between group_begin and group_end.
#pragma once

#include <memory>
#include <vector>

#include "comm/communicator.hpp"

namespace flagos::comm {

class Group {
 public:
  // The thread's.
  static Group& get();

  bool is_open() const { return depth_ != 0; }
  void begin() { ++depth_; }
  // Queues all when it was the outermost; throws the first failure.
  void end();
  // Sends and receives of one communicator and stream become one operation.
  void add(const std::shared_ptr<Communicator>& communicator, const Request& request);
  // A call in the group failed.
  void fail(flagos_status_t status, const char* text);

 private:
  struct Member {
    std::shared_ptr<Communicator> communicator;
    Request request;
  };

  std::uint32_t depth_ = 0;
  std::vector<Member> members_;
  flagos_status_t status_ = FLAGOS_STATUS_OK;
  std::string text_;
};

}  // namespace flagos::comm
