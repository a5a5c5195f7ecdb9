from sm_locust.cli import main

main()
