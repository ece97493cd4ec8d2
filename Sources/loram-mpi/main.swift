print("loram-mpi")
